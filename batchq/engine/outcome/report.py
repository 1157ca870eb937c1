# SPDX-License-Identifier: MIT
"""Turn a verdict into the BatchError that reports it, and the exception that it is mapped to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import psycopg

from batchq.engine.outcome.classify import classify
from batchq.engine.outcome.failure import facts_of
from batchq.engine.outcome.lost_link import link_failed
from batchq.engine.outcome.messages import write_report
from batchq.engine.result import Failed
from batchq.engine.scope import PlacedStatement
from batchq.language.errors import SerializationConflict, StatementCanceled
from batchq.language.exceptions import caused_by
from batchq.language.mapping import exception_for
from batchq.language.outcome import Outcome

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

    from batchq.engine.abilities import Abilities
    from batchq.engine.dialects import Dialect, Parameters
    from batchq.engine.outcome.attribute import Verdict
    from batchq.engine.wire.frame import Frame
    from batchq.language.mapping import Raises
    from batchq.language.violation import Violation


def report(
    verdict: Verdict,
    statements: Sequence[PlacedStatement],
    *,
    summary: str,
    dialect: Dialect,
    cause: BaseException | None,
    frame: Frame,
    server: Parameters,
    abilities: Abilities,
) -> Failed:
    """Turn a verdict on a failed batch into exceptions, ready to be raised.

    :param summary: the violation as text.
    :param cause: the driver's exception.
    :param frame: the frame that the batch was sent in.
    :param server: the parameters that the server has reported.
    :param abilities: what its SQL can say.
    """
    violation = verdict.violation
    if violation is None or verdict.link_lost or verdict.outcome is Outcome.UNKNOWN:
        failed = link_failed(verdict, cause)
        return Failed(failed, failed)
    failure = facts_of(
        verdict,
        violation,
        statements,
        summary,
        dialect=dialect,
        frame=frame,
        server=server,
        abilities=abilities,
    )
    made: BaseException | None = None
    interrupt: BaseException | None = None
    name: str | None = None
    resolution = failure.failed_step.resolution
    raises = None if resolution is None else resolution.for_caller
    without_values: BaseException | None = None
    try:
        if raises is not None:
            made, name = _made(raises, failure.violation)
    except BaseException as error:  # noqa: BLE001  Ctrl-C in the caller's function
        interrupt = error
    if name is None and failure.failed_step.step is None and callable(raises):
        made, without_values = None, made
    cls = classify(failure, name, without_values)
    batch_error = cls.error(
        write_report(failure, cls),
        outcome=verdict.outcome,
        step=failure.failed_step.step,
        violation=failure.violation,
        candidates=failure.failed_step.candidates,
    )
    batch_error.context = failure.context
    if isinstance(batch_error, SerializationConflict):
        batch_error.rerun_outer = frame.nested
    elif isinstance(batch_error, StatementCanceled):
        batch_error.timeout = cls.timeout
    batch_error.__cause__ = cause
    if without_values is not None:
        batch_error.__context__ = without_values
    if interrupt is not None:  # it is not the batch's failure
        caused_by(interrupt, batch_error)
        raise interrupt
    if made is None:
        return Failed(batch_error, batch_error)
    caused_by(made, batch_error)
    return Failed(made, batch_error)


def _made(raises: Raises, violation: Violation) -> tuple[BaseException, str | None]:
    """Return the exception that a failure is mapped to, and the name of its class.

    The name is None if the caller's function has failed instead.
    """
    try:
        error = exception_for(raises, violation)
    except Exception as bug:  # noqa: BLE001  the caller's function; the report must not be lost
        return bug, None
    return error, type(error).__name__


def driver_error(answer: PGresult, summary: str, encoding: str) -> psycopg.Error:
    """Return psycopg's exception for an error, with ``diag`` and a text that shows no values.

    It becomes the ``__cause__``, and tracebacks show the text of causes. The server's message,
    which may quote parameters, is in ``diag.message_primary`` and ``diag.message_detail``.

    :param summary: the violation as text.
    """
    error = psycopg.errors.error_from_result(answer, encoding)
    error.args = (summary,)
    return error
