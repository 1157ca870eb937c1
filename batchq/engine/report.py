# SPDX-License-Identifier: MIT
"""From verdict to report: the BatchError that says what happened, and the caller's own exception.

The texts teach the next line of code to write. None of them shows a parameter's value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import psycopg
from attrs import frozen

from batchq.engine.flight import CLOSING, OWNERS
from batchq.language.errors import (
    BatchError,
    ConnectionFailed,
    GuardFailed,
    InvariantViolation,
    OutcomeUnknown,
    SerializationConflict,
    UnmappedViolation,
)
from batchq.language.mapping import Internal, describe, exception_for
from batchq.language.matchers import Matcher
from batchq.language.outcome import Outcome
from batchq.language.plan import Leaf, Resolution
from batchq.language.step import Step
from batchq.language.violation import Kind, Violation

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

    from batchq.engine.attribute import Verdict
    from batchq.engine.dialects import Dialect

_WHAT_BECAME = {
    Outcome.NOT_SENT: "nothing was sent",
    Outcome.ROLLED_BACK: "rolled back, nothing was kept",
    Outcome.UNKNOWN: "whether it was committed is unknown: read before running it again",
}


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
    if violation is None or verdict.session_ended or verdict.outcome is Outcome.UNKNOWN:
        made: BatchError = _link_failed(verdict)
        made.__cause__ = cause
        return Report(made, made)
    blame = _blame(verdict, violation, leaves)
    made = _explain(verdict, violation, blame, dialect)
    made.__cause__ = cause
    meaning = None if blame.resolution is None else blame.resolution.rule.meaning
    if meaning is None or isinstance(made, InvariantViolation) or isinstance(meaning, Internal):
        return Report(made, made)
    error = exception_for(meaning, violation)
    error.__cause__ = made
    return Report(error, made)


# -- who, and what was said about it -----------------------------------------------------------------


@frozen
class _Blame:
    step: Step | None
    resolution: Resolution | None
    candidates: tuple[Step, ...] = ()


def _blame(verdict: Verdict, violation: Violation, leaves: Sequence[Leaf]) -> _Blame:
    if verdict.blamed is not None:
        leaf = leaves[verdict.blamed]
        return _Blame(Step(verdict.blamed, leaf), leaf.resolve(violation))
    if verdict.owner != CLOSING:
        return _Blame(None, None)
    # A deferred constraint: COMMIT reports it, and whoever declared it is asked.
    found = [(Step(i, leaf), leaf.resolve(violation)) for i, leaf in enumerate(leaves)]
    mapped = [(step, resolution) for step, resolution in found if resolution is not None]
    own = [
        (step, resolution)
        for step, resolution in mapped
        if any(rule.matcher.matches(violation) for rule in step.statement.rules)
    ]
    declaring = own or mapped
    if len(declaring) == 1:
        return _Blame(*declaring[0])
    candidates = tuple(step for step, _ in declaring)
    # One mapping around them all says what it means, whoever it was.
    meanings = {id(resolution.rule): resolution for _, resolution in mapped if resolution}
    only = next(iter(meanings.values())) if len(meanings) == 1 else None
    return _Blame(None, only, candidates)


def _explain(verdict: Verdict, violation: Violation, blame: _Blame, dialect: Dialect) -> BatchError:
    """Choose the class of the report and write its text."""
    where = _where(verdict, blame)
    what = f"{where}: {violation}; {_WHAT_BECAME[verdict.outcome]}"
    known = {
        "outcome": verdict.outcome,
        "step": blame.step,
        "violation": violation,
        "candidates": blame.candidates,
    }
    if violation.sqlstate in dialect.retryable and violation.kind is not Kind.GUARD:
        return SerializationConflict(f"{what}; running the batch again may succeed", **known)
    resolution = blame.resolution
    if resolution is not None and (
        resolution.context is not None or isinstance(resolution.rule.meaning, Internal)
    ):
        return _invariant(what, resolution, known)
    if violation.kind is Kind.GUARD:
        statement = blame.step.statement if blame.step else None
        wanted = f", wanted {statement.guard}" if statement is not None else ""
        hint = "" if resolution else _teach_guard(violation, blame)
        return GuardFailed(
            f"{where}: {violation}{wanted}; {_WHAT_BECAME[verdict.outcome]}{hint}", **known
        )
    if resolution is not None:
        return BatchError(f"{what}; mapped to {describe(resolution.rule.meaning)}", **known)
    return UnmappedViolation(f"{what}{_teach(violation, blame)}", **known)


def _invariant(what: str, resolution: Resolution, known: dict[str, object]) -> BatchError:
    rule, context = resolution.rule, resolution.context
    why = f"{rule.matcher} was declared internal"
    if not isinstance(rule.meaning, Internal):
        why = f"it would be {describe(rule.meaning)}, but every failure in here is ours"
    doing = f"{context}: " if context else ""
    error = InvariantViolation(f"{doing}{what}; {why}", **known)  # type: ignore[arg-type]
    error.context = context
    return error


def _where(verdict: Verdict, blame: _Blame) -> str:
    if blame.step is not None:
        at_commit = " at COMMIT" if verdict.owner == CLOSING else ""
        return f"{blame.step}{at_commit}"
    where = OWNERS.get(verdict.owner or 0, "the batch")
    if blame.candidates:
        steps = ", ".join(map(str, blame.candidates[:10]))
        where += f" (declared by {len(blame.candidates)} steps, it does not say which: {steps})"
    return where


# -- teaching ----------------------------------------------------------------------------------------

_MATCHER_FOR = {
    "42883": "\nbatchq sends an int as bigint: cast it in sql(), %(n)s::int, if a function wants int",
}


def _teach(violation: Violation, blame: _Blame) -> str:
    """Say what was mapped and which line to add."""
    lines: list[str] = []
    if blame.candidates:
        lines.append("Several steps declare it; map it once, around them:")
    elif blame.step is not None:
        meanings = blame.step.meanings
        lines.append("This step maps:" if meanings else "This step maps nothing.")
        lines += [f"    {meaning}" for meaning in meanings]
        lines.append("If a caller can cause it, map it:")
    else:
        return ""
    matcher = _matcher(violation)
    lines.append(f"    .on({matcher}, YourError(...))")
    if violation.constraint and not blame.candidates:
        lines.append("If it can only be a bug, declare it:")
        lines.append(f'    .internal("{violation.constraint}")')
    return "\n" + "\n".join(lines) + _MATCHER_FOR.get(violation.sqlstate, "")


def _matcher(violation: Violation) -> Matcher:
    if violation.kind is Kind.NOT_NULL and violation.column:
        return Matcher(violation.kind, violation.column)
    if violation.kind is not Kind.OTHER and violation.constraint:
        return Matcher(violation.kind, violation.constraint)
    return Matcher(sqlstate=violation.sqlstate)


def _teach_guard(violation: Violation, blame: _Blame) -> str:
    guard = blame.step.statement.guard if blame.step else None
    if guard is None or violation.rows is None or violation.rows >= guard.rows:
        return ""
    call = f"expect({guard.rows}" if guard.bound.value == "=" else f"expect(at_least={guard.rows}"
    return f"\nIf a caller can cause it, map it:\n    .{call}, missing=YourError(...))"


# -- the link and the session ------------------------------------------------------------------------


def _link_failed(verdict: Verdict) -> BatchError:
    """Report a transaction that the server did not end in the ordinary way."""
    said = f": {verdict.violation}" if verdict.violation else ""
    if verdict.outcome is Outcome.UNKNOWN:
        what = "the connection was lost before COMMIT was answered"
        if verdict.violation is not None:
            what = "the server could not say whether COMMIT took effect"
        message = f"{what}{said}; {_WHAT_BECAME[verdict.outcome]}"
        return OutcomeUnknown(message, outcome=verdict.outcome, violation=verdict.violation)
    what = (
        "the connection was lost" if verdict.violation is None else "the server ended the session"
    )
    message = f"{what}{said}; {_WHAT_BECAME[verdict.outcome]}"
    return ConnectionFailed(message, outcome=verdict.outcome, violation=verdict.violation)


def driver_error(answer: PGresult, violation: Violation, encoding: str) -> psycopg.Error:
    """Make psycopg's own exception of an error, with ``diag``, whose text shows no values.

    It becomes the ``__cause__``, and tracebacks show the text of causes. The server's own words,
    which may quote parameters, are in ``diag.message_primary`` and ``diag.message_detail``.
    """
    error = psycopg.errors.error_from_result(answer, encoding)
    error.args = (str(violation),)
    return error
