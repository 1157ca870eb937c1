# SPDX-License-Identifier: MIT
"""Turn a verdict into the BatchError that reports it, and the exception that it is mapped to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from batchq.engine.outcome.classify import classify
from batchq.engine.outcome.failure import facts_of
from batchq.engine.outcome.lost_link import link_failed
from batchq.engine.outcome.messages import write_report
from batchq.engine.result import Failed
from batchq.language.exceptions import caused_by
from batchq.language.mapping import exception_for
from batchq.language.outcome import Outcome

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

    from batchq.engine.outcome.attribute import Verdict
    from batchq.engine.outcome.failure import Ended


def report(ended: Ended, verdict: Verdict, *, summary: str, cause: BaseException | None) -> Failed:
    """Turn the verdict on a failed batch into exceptions, ready to be raised.

    :param summary: the violation as text.
    :param cause: the driver's exception.
    """
    violation = verdict.violation
    if violation is None or verdict.link_lost or verdict.outcome is Outcome.UNKNOWN:
        lost = link_failed(verdict, cause)
        return Failed(lost, lost)
    failure = facts_of(ended, verdict, violation, summary)
    made: BaseException | None = None
    interrupt: BaseException | None = None
    name: str | None = None
    failed = failure.failed_step
    raises = None if failed.resolution is None else failed.resolution.for_caller
    without_values: BaseException | None = None
    try:
        if raises is not None:
            made = exception_for(raises, violation)
            name = type(made).__name__
    except Exception as bug:  # noqa: BLE001  the caller's function; the report must not be lost
        made = bug
    except BaseException as error:  # noqa: BLE001  Ctrl-C in the caller's function
        interrupt = error
    if name is None and failed.step is None and callable(raises):
        made, without_values = None, made
    cls = classify(failure, name, without_values)
    batch_error = cls.error(
        write_report(failure, cls),
        outcome=verdict.outcome,
        step=failed.step,
        violation=violation,
        candidates=failed.candidates,
    )
    batch_error.context = failure.context
    vars(batch_error).update(cls.own)
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


def driver_error(answer: PGresult, sqlstate: str, summary: str, encoding: str) -> psycopg.Error:
    """Return psycopg's exception for an error, with ``diag`` and a text that shows no values.

    It becomes the ``__cause__``, and tracebacks show the text of causes. The server's message,
    which may quote parameters, is in ``diag.message_primary`` and ``diag.message_detail``.

    :param summary: the violation as text.
    """
    try:
        cls = psycopg.errors.lookup(sqlstate)
    except KeyError:  # it has none of its own
        cls = type(psycopg.errors.error_from_result(answer, encoding))
    return cls(summary, info=answer, encoding=encoding)
