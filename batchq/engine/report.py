# SPDX-License-Identifier: MIT
"""From verdict to report: the BatchError that says what happened, and the caller's exception."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import psycopg
from attrs import frozen

from batchq.engine.blame import Blame, blame
from batchq.engine.wording import WHAT_BECAME, teach, teach_guard, what_happened, where
from batchq.language.errors import (
    BatchError,
    ConnectionFailed,
    GuardFailed,
    InvariantViolation,
    OutcomeUnknown,
    SerializationConflict,
    UnmappedViolation,
)
from batchq.language.exceptions import caused_by
from batchq.language.mapping import Internal, describe, exception_for
from batchq.language.outcome import Outcome
from batchq.language.plan import Leaf, Resolution
from batchq.language.violation import Kind, Violation

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

    from batchq.engine.attribute import Verdict
    from batchq.engine.dialects import Dialect


@frozen
class Report:
    """A failed batch, in both views."""

    error: BaseException
    """What the caller gets: their own exception where the failure is mapped, else the report."""
    report: BatchError
    """What happened. The ``__cause__`` of a mapped ``error``."""


def report(
    verdict: Verdict,
    leaves: Sequence[Leaf],
    *,
    dialect: Dialect,
    cause: BaseException | None,
) -> Report:
    """Turn a verdict on a failed batch into exceptions, ready to be raised.

    :param cause: the driver's own exception.
    """
    violation = verdict.violation
    if violation is None or verdict.link_lost or verdict.outcome is Outcome.UNKNOWN:
        failed = _link_failed(verdict, cause)
        failed.__cause__ = cause
        return Report(failed, failed)
    found = blame(verdict, violation, leaves)
    made = _explained(verdict, violation, found, dialect)
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


def _explained(
    verdict: Verdict, violation: Violation, found: Blame, dialect: Dialect
) -> BatchError:
    """Choose the class of the report, and write its text."""
    cls, text = _classified(verdict, violation, found, dialect)
    error = cls(
        text,
        outcome=verdict.outcome,
        step=found.step,
        violation=violation,
        candidates=found.candidates,
    )
    if isinstance(error, InvariantViolation) and found.resolution is not None:
        error.context = found.resolution.context
    return error


def _classified(
    verdict: Verdict, violation: Violation, found: Blame, dialect: Dialect
) -> tuple[type[BatchError], str]:
    what = what_happened(verdict, violation, found)
    resolution = found.resolution
    if violation.sqlstate in dialect.retryable:
        return SerializationConflict, f"{what}; running the batch again may succeed"
    if resolution is not None and resolution.for_caller is None:
        return InvariantViolation, _invariant(what, resolution)
    if violation.kind is Kind.GUARD:
        return GuardFailed, what if resolution else what + teach_guard(violation, found)
    if resolution is not None:
        return BatchError, f"{what}; mapped to {describe(resolution.rule.meaning)}"
    return UnmappedViolation, what + teach(violation, found)


def _invariant(what: str, resolution: Resolution) -> str:
    rule = resolution.rule
    why = f"{rule.matcher} was declared internal"
    if not isinstance(rule.meaning, Internal):
        why = f"it would be {describe(rule.meaning)}, but every failure in here is ours"
    doing = f"{resolution.context}: " if resolution.context else ""
    return f"{doing}{what}; {why}"


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
        return f"{where(verdict, Blame())} answered {tag} though nothing had failed"
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
