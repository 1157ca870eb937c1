# SPDX-License-Identifier: MIT
"""From verdict to report: the BatchError that says what happened, and the caller's exception."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import psycopg
from attrs import frozen

from batchq.engine.outcome.messages import (
    WHAT_BECAME,
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
    """A failed batch, in both views."""

    error: BaseException
    """What the caller gets: their own exception where the failure is mapped, else the report."""
    report: BatchError
    """What happened. The ``__cause__`` of a mapped ``error``."""


def report(
    verdict: Verdict,
    leaves: Sequence[PlacedStatement],
    *,
    dialect: Dialect,
    cause: BaseException | None,
    frame: Frame,
    server: Parameters,
) -> Report:
    """Turn a verdict on a failed batch into exceptions, ready to be raised.

    :param cause: the driver's own exception.
    :param frame: what the batch was framed by.
    :param server: what the server reports of itself.
    """
    violation = verdict.violation
    if violation is None or verdict.link_lost or verdict.outcome is Outcome.UNKNOWN:
        failed = _link_failed(verdict, cause)
        failed.__cause__ = cause
        return Report(failed, failed)
    found = find_failed_step(verdict, violation, leaves)
    made = _explained(_Failure(verdict, violation, found, dialect, frame, server))
    made.__cause__ = cause
    meaning = None if found.resolution is None else found.resolution.for_caller
    if meaning is None:
        return Report(made, made)
    try:
        error = exception_for(meaning, violation)
    except Exception as bug:  # noqa: BLE001  the caller's function; the report must not be lost
        error = bug
    except BaseException as interrupt:  # Ctrl-C just then is no answer to the batch
        caused_by(interrupt, made)
        raise
    caused_by(error, made)
    return Report(error, made)


@frozen
class _Failure:
    """What is known of a failure, from which the class of its report is chosen."""

    verdict: Verdict
    violation: Violation
    found: FailedStep
    dialect: Dialect
    frame: Frame
    server: Parameters


def _explained(failure: _Failure) -> BatchError:
    """Choose the class of the report, and write its text."""
    cls, text = _classified(failure)
    found = failure.found
    error = cls(
        text,
        outcome=failure.verdict.outcome,
        step=found.step,
        violation=failure.violation,
        candidates=found.candidates,
    )
    error.context = _context(found)
    if isinstance(error, SerializationConflict):
        error.rerun_outer = failure.frame.nested
    elif isinstance(error, StatementCanceled):
        error.timeout = _timeout(failure)
    return error


def _context(found: FailedStep) -> str | None:
    """What was being done, where that has a say in what the failure is."""
    if found.resolution is not None:
        return found.resolution.context
    return None if found.step is None else found.step.placed.context


def _classified(failure: _Failure) -> tuple[type[BatchError], str]:
    violation, found = failure.violation, failure.found
    what = describe_failure(failure.verdict, violation, found)
    if context := _context(found):
        what = f"{context}: {what}"
    resolution = found.resolution
    at_fault = _servers_own(failure)
    if at_fault is not None:
        cls, why = at_fault
        return cls, f"{what}; {why}"
    if resolution is not None and resolution.for_caller is None:
        return InvariantViolation, _invariant(what, resolution)
    if violation.kind is ViolationKind.GUARD:
        return GuardFailed, what if resolution else what + suggest_guard(violation, found)
    cls = UnmappedViolation if resolution is None else BatchError
    if violation.sqlstate == _CANCELED:
        cls, what = StatementCanceled, f"{what}; {_why_canceled(failure)}"
    if resolution is not None:
        return cls, f"{what}; mapped to {describe(resolution.mapping.raises)}"
    lesson = CALLERS_OWN if is_callers_own(violation) else suggest_mapping(violation, found)
    return cls, what + lesson


def _servers_own(failure: _Failure) -> tuple[type[BatchError], str] | None:
    """Tell what is nobody's fault, whatever it is mapped to: another attempt may succeed."""
    if failure.violation.sqlstate in failure.dialect.retryable:
        return SerializationConflict, _RERUN_OUTER if failure.frame.nested else _RERUN
    why = why_read_only(failure.verdict, failure.violation, failure.frame, failure.server)
    return None if why is None else (ReadOnlyServer, f"{why}: another server may take it")


_RERUN = "running the batch again may succeed"
_RERUN_OUTER = (
    "the transaction around it has to be rolled back, and running the whole of it again may succeed"
)
_CANCELED = "57014"
"""PostgreSQL documentation, appendix A: query_canceled."""


def _timeout(failure: _Failure) -> float | None:
    """The ``timeout=`` that may have canceled it. COMMIT switches it off before it does its work
    (PostgreSQL, tcop/postgres.c, ``finish_xact_command``)."""
    return None if failure.verdict.owner in (OPENING, CLOSING) else failure.frame.timeout


def _why_canceled(failure: _Failure) -> str:
    """Say who has canceled it, as far as that can be known without reading the server's message,
    which is translated."""
    if failure.verdict.owner == CLOSING:
        return "canceled by somebody: no statement_timeout reaches COMMIT"
    timeout = _timeout(failure)
    if timeout is None:
        return "canceled by somebody or the session's statement_timeout: no timeout= was in force"
    return f"canceled by timeout={timeout:g}, or by somebody before that"


def _invariant(what: str, resolution: Resolution) -> str:
    rule = resolution.mapping
    why = f"{rule.matcher} was declared internal"
    if not isinstance(rule.raises, Invariant):
        why = f"it would be {describe(rule.raises)}, but every failure in here is ours"
    return f"{what}; {why}"


def _link_failed(verdict: Verdict, cause: BaseException | None) -> BatchError:
    """Report a transaction that the server did not end in the ordinary way."""
    outcome, violation = verdict.outcome, verdict.violation
    said = f": {violation}" if violation else ""
    message = f"{_link_lost(verdict, cause)}{said}; {WHAT_BECAME[outcome]}"
    cls = OutcomeUnknown if outcome is Outcome.UNKNOWN else ConnectionFailed
    return cls(message, outcome=outcome, violation=violation)


def _link_lost(verdict: Verdict, cause: BaseException | None) -> str:
    outcome, unknown = verdict.outcome, verdict.outcome is Outcome.UNKNOWN
    if verdict.relayed:
        return "an error that is not the server's own came back, as from a pooler that has lost it"
    if verdict.violation is not None:
        in_doubt = "the server could not say whether COMMIT took effect"
        return in_doubt if unknown else "the server ended the session"
    if verdict.refused:
        tag = "neither COMMIT nor ROLLBACK" if unknown else "ROLLBACK"
        return f"{where(verdict, FailedStep())} answered {tag} though nothing had failed"
    if cause is not None and not isinstance(cause, psycopg.Error):  # of an event loop, for one
        return f"waiting for the connection failed with {type(cause).__name__}"
    if outcome is Outcome.NOT_SENT:
        return "the connection was closed before anything was sent"
    return (
        "the connection was lost before COMMIT was answered"
        if unknown
        else "the connection was lost"
    )


def driver_error(answer: PGresult, violation: Violation, encoding: str) -> psycopg.Error:
    """Make psycopg's own exception of an error, with ``diag``, whose text shows no values.

    It becomes the ``__cause__``, and tracebacks show the text of causes. The server's own words,
    which may quote parameters, are in ``diag.message_primary`` and ``diag.message_detail``.
    """
    error = psycopg.errors.error_from_result(answer, encoding)
    error.args = (str(violation),)
    return error
