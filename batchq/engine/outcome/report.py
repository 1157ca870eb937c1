# SPDX-License-Identifier: MIT
"""Turn a verdict into the BatchError that reports it, and the exception that it is mapped to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import psycopg
from attrs import evolve, frozen

from batchq.engine.outcome.messages import (
    OUTCOME_TEXTS,
    describe_failure,
    suggest_guard,
    suggest_mapping,
    where,
)
from batchq.engine.outcome.read_only import CALLERS_OWN, is_callers_own, why_read_only
from batchq.engine.outcome.resolve import FailedStep, find_failed_step
from batchq.engine.scope import PlacedStatement, Resolution
from batchq.engine.wire.flight import CLOSING, OPENING
from batchq.language.errors import (
    BatchError,
    ConnectionFailed,
    GuardFailed,
    InvariantViolation,
    OutcomeUnknown,
    ReadOnlyServer,
    SerializationConflict,
    StatementCanceled,
    UnmappedViolation,
)
from batchq.language.exceptions import caused_by
from batchq.language.mapping import Invariant, describe, exception_for
from batchq.language.outcome import Outcome
from batchq.language.violation import Violation, ViolationKind

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

    from batchq.engine.dialects import Dialect, Parameters
    from batchq.engine.outcome.attribute import Verdict
    from batchq.engine.wire.frame import Frame


@frozen
class Report:
    """The exceptions of a failed batch."""

    error: BaseException
    """Exception for the caller: the mapped one if the failure is mapped, else the report."""
    report: BatchError
    """The failed step, the violation and the outcome. The ``__cause__`` of a mapped ``error``."""


def report(
    verdict: Verdict,
    statements: Sequence[PlacedStatement],
    *,
    dialect: Dialect,
    cause: BaseException | None,
    frame: Frame,
    server: Parameters,
) -> Report:
    """Turn a verdict on a failed batch into exceptions, ready to be raised.

    :param cause: the driver's exception.
    :param frame: the frame that the batch was sent in.
    :param server: the parameters that the server has reported.
    """
    violation = verdict.violation
    if violation is None or verdict.link_lost or verdict.outcome is Outcome.UNKNOWN:
        failed = _link_failed(verdict, cause)
        failed.__cause__ = cause
        return Report(failed, failed)
    failed_step = find_failed_step(verdict, violation, statements)
    if failed_step.step is not None:
        violation = evolve(violation, values=failed_step.step.named_values)
    batch_error = _batch_error(_Failure(verdict, violation, failed_step, dialect, frame, server))
    batch_error.__cause__ = cause
    resolution = failed_step.resolution
    raises = None if resolution is None else resolution.for_caller
    if raises is None:
        return Report(batch_error, batch_error)
    try:
        error = exception_for(raises, violation)
    except Exception as bug:  # noqa: BLE001  the caller's function; the report must not be lost
        error = bug
    except BaseException as interrupt:  # Ctrl-C in that function is not the batch's failure
        caused_by(interrupt, batch_error)
        raise
    caused_by(error, batch_error)
    return Report(error, batch_error)


@frozen
class _Failure:
    """The facts about a failure, from which the class of its report is chosen."""

    verdict: Verdict
    violation: Violation
    failed_step: FailedStep
    dialect: Dialect
    frame: Frame
    server: Parameters


def _batch_error(failure: _Failure) -> BatchError:
    """Return the report: the class that fits, with its text."""
    cls, text = _classify(failure)
    failed_step = failure.failed_step
    error = cls(
        text,
        outcome=failure.verdict.outcome,
        step=failed_step.step,
        violation=failure.violation,
        candidates=failed_step.candidates,
    )
    error.context = _context(failed_step)
    if isinstance(error, SerializationConflict):
        error.rerun_outer = failure.frame.nested
    elif isinstance(error, StatementCanceled):
        error.timeout = _timeout(failure)
    return error


def _context(failed_step: FailedStep) -> str | None:
    """Return the context of the mapping that applies or, without one, of the step."""
    if failed_step.resolution is not None:
        return failed_step.resolution.context
    return None if failed_step.step is None else failed_step.step.placed.context


def _classify(failure: _Failure) -> tuple[type[BatchError], str]:
    """Return the class of the report and its text."""
    violation, failed_step = failure.violation, failure.failed_step
    text = describe_failure(failure.verdict, violation, failed_step)
    if context := _context(failed_step):
        text = f"{context}: {text}"
    resolution = failed_step.resolution
    transient = _classify_transient(failure)
    if transient is not None:
        cls, reason = transient
        return cls, f"{text}; {reason}"
    if resolution is not None and resolution.for_caller is None:
        return InvariantViolation, _invariant_text(text, resolution)
    if violation.kind is ViolationKind.GUARD:
        return GuardFailed, text if resolution else text + suggest_guard(violation, failed_step)
    cls = UnmappedViolation if resolution is None else BatchError
    if violation.sqlstate == _CANCELED:
        cls, text = StatementCanceled, f"{text}; {_why_canceled(failure)}"
    if resolution is not None:
        return cls, f"{text}; mapped to {describe(resolution.mapping.raises)}"
    hint = CALLERS_OWN if is_callers_own(violation) else suggest_mapping(violation, failed_step)
    return cls, text + hint


def _classify_transient(failure: _Failure) -> tuple[type[BatchError], str] | None:
    """Return class and text of a failure after which another attempt may succeed.

    It is not the statement's, so its mapping does not apply.
    """
    if failure.violation.sqlstate in failure.dialect.retryable:
        return SerializationConflict, _RERUN_OUTER if failure.frame.nested else _RERUN
    reason = why_read_only(failure.verdict, failure.violation, failure.frame, failure.server)
    return None if reason is None else (ReadOnlyServer, f"{reason}: another server may accept it")


_RERUN = "running the batch again may succeed"
_RERUN_OUTER = "roll back the outer transaction; running all of it again may succeed"
_CANCELED = "57014"
"""PostgreSQL documentation, appendix A: query_canceled."""


def _timeout(failure: _Failure) -> float | None:
    """Return the ``timeout=`` that may have canceled the statement.

    COMMIT disables it before it does its work (PostgreSQL, tcop/postgres.c,
    ``finish_xact_command``).
    """
    return None if failure.verdict.owner in (OPENING, CLOSING) else failure.frame.timeout


def _why_canceled(failure: _Failure) -> str:
    """Return what may have canceled the statement.

    The server's message is not read, since it is translated.
    """
    if failure.verdict.owner == CLOSING:
        return "canceled by a cancel request: statement_timeout does not apply to COMMIT"
    timeout = _timeout(failure)
    if timeout is None:
        return "canceled by a cancel request or the session's statement_timeout; timeout= was unset"
    return f"canceled by timeout={timeout:g}, or by a cancel request before that"


def _invariant_text(text: str, resolution: Resolution) -> str:
    mapping = resolution.mapping
    reason = f"{mapping.matcher} was declared an invariant"
    if not isinstance(mapping.raises, Invariant):
        reason = f"mapped to {describe(mapping.raises)}, but as_invariant() applies to all of it"
    return f"{text}; {reason}"


def _link_failed(verdict: Verdict, cause: BaseException | None) -> BatchError:
    """Report a transaction whose connection was lost or whose end the server refused."""
    outcome, violation = verdict.outcome, verdict.violation
    detail = f": {violation}" if violation else ""
    message = f"{_link_lost(verdict, cause)}{detail}; {OUTCOME_TEXTS[outcome]}"
    cls = OutcomeUnknown if outcome is Outcome.UNKNOWN else ConnectionFailed
    return cls(message, outcome=outcome, violation=violation)


def _link_lost(verdict: Verdict, cause: BaseException | None) -> str:
    outcome, unknown = verdict.outcome, verdict.outcome is Outcome.UNKNOWN
    if verdict.relayed:
        return "a pooler, not the server, reported an error; it may have lost the server"
    if verdict.violation is not None:
        in_doubt = "the server could not say whether COMMIT took effect"
        return in_doubt if unknown else "the server ended the session"
    if verdict.refused:
        tag = "neither COMMIT nor ROLLBACK" if unknown else "ROLLBACK"
        return f"{where(verdict, FailedStep())} answered {tag} though nothing had failed"
    if cause is not None and not isinstance(cause, psycopg.Error):  # an event loop's, for example
        return f"waiting for the connection failed with {type(cause).__name__}"
    if outcome is Outcome.NOT_SENT:
        return "the connection was closed before anything was sent"
    return (
        "the connection was lost before COMMIT was answered"
        if unknown
        else "the connection was lost"
    )


def driver_error(answer: PGresult, violation: Violation, encoding: str) -> psycopg.Error:
    """Return psycopg's exception for an error, with ``diag`` and a text that shows no values.

    It becomes the ``__cause__``, and tracebacks show the text of causes. The server's message,
    which may quote parameters, is in ``diag.message_primary`` and ``diag.message_detail``.
    """
    error = psycopg.errors.error_from_result(answer, encoding)
    error.args = (str(violation),)
    return error
