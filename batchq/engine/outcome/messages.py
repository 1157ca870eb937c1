# SPDX-License-Identifier: MIT
"""The words of reports. They teach the next line of code to write, and show no value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchq.engine.compile.quoting import unqualified
from batchq.engine.hints import hint
from batchq.engine.wire.flight import CLOSING, OWNERS
from batchq.language.guards import EXACTLY_ONE, Bound, When
from batchq.language.matchers import Matcher, not_null, sqlstate
from batchq.language.outcome import Outcome
from batchq.language.spelling import spelled
from batchq.language.violation import Violation, ViolationKind

if TYPE_CHECKING:
    from batchq.engine.outcome.attribute import Verdict
    from batchq.engine.outcome.resolve import FailedStep
    from batchq.language.statement import Statement

WHAT_BECAME = {
    Outcome.NOT_SENT: "nothing was sent",
    Outcome.ROLLED_BACK: "rolled back, nothing was kept",
    Outcome.UNKNOWN: "whether it was committed is unknown: read before running it again",
}

OLD_SNAPSHOT = """\
The steps after a for_update() must see everything that was committed before it got its lock. At
this level they see what was committed when the transaction began. Run the batch at READ COMMITTED:
    run(conn, batch, isolation=IsolationLevel.READ_COMMITTED)
With nested=True it is the outer transaction that has to begin at that level."""

_MOST_CANDIDATES = 10


def describe_failure(verdict: Verdict, violation: Violation, found: FailedStep) -> str:
    """Say where, what, and what became of it all."""
    wanted = ""
    about_rows = violation.kind is ViolationKind.GUARD and violation.isolation is None
    if about_rows and found.step is not None:
        wanted = f", wanted {_wanted(violation, found.step.statement)}"
    return f"{where(verdict, found)}: {violation}{wanted}; {WHAT_BECAME[verdict.outcome]}"


def _wanted(violation: Violation, statement: Statement[Any]) -> str:
    if violation.requirement is not None:
        return str(statement._shape.requirements[violation.requirement])
    return str(statement._shape.guard or EXACTLY_ONE)  # what has an output has exactly one row


def where(verdict: Verdict, found: FailedStep) -> str:
    """Name the step to blame, or the part of the frame that reported it."""
    if found.step is not None:
        why = f" ({found.why})" if found.why else ""
        return f"{found.step} at COMMIT{why}" if verdict.owner == CLOSING else str(found.step)
    place = OWNERS.get(CLOSING if verdict.owner is None else verdict.owner, "the batch")
    if not found.candidates:
        return place
    steps = ", ".join(map(str, found.candidates[:_MOST_CANDIDATES]))
    if len(found.candidates) > _MOST_CANDIDATES:
        steps += ", …"
    return f"{place} ({found.why}: {steps})"


def suggest_mapping(violation: Violation, found: FailedStep) -> str:
    """Say what was mapped, and which line to add."""
    if found.candidates:
        where_to = "around those steps" if len(found.candidates) > 1 else "there"
        lines = [f"If a caller can cause it, map it once, {where_to}:"]
    elif found.step is not None:
        meanings = found.step.mappings
        lines = ["This step maps:" if meanings else "This step maps nothing."]
        lines += [f"    {meaning}" for meaning in meanings]
        lines.append("If a caller can cause it, map it:")
    elif violation.constraint:
        lines = ["No step declares it. If a caller can cause it, map it where it is written:"]
    else:
        return ""
    lines.append(f"    .on({_matcher(violation)}, YourError(...))")
    if violation.constraint and not found.candidates:
        lines.append("If it can only be a bug, declare it:")
        lines.append(f"    .invariant({spelled(_declarable(violation) or '')})")
    more = hint(violation, found.step) + _partition(violation, found)
    return "\n" + "\n".join(lines) + more


def _declarable(violation: Violation) -> str | None:
    """The name to declare: of a partition's constraint that of the whole, which stands for all."""
    return violation.part_of[-1] if violation.part_of else violation.constraint


def _partition(violation: Violation, found: FailedStep) -> str:
    """Tell of partitions where the server names an index of another table than the statement's."""
    if violation.kind not in (ViolationKind.UNIQUE, ViolationKind.EXCLUSION) or violation.part_of:
        return ""
    table = None if found.step is None else found.step.statement._shape.source.table
    if table is None or violation.table in (None, unqualified(table)):
        return ""
    return (
        f"\nIf {violation.table} is a partition, name the constraint of the whole table instead: "
        f"that stands for it in all of them"
    )


def suggest_guard(violation: Violation, found: FailedStep) -> str:
    """Say how to map a row that was refused, or too few; too many are nobody's mapping."""
    if violation.isolation is not None:
        return f"\n{OLD_SNAPSHOT}"
    if violation.requirement is not None:
        argument = "raises"
        if found.step is not None:
            requirement = found.step.statement._shape.requirements[violation.requirement]
            argument = "unexpected" if requirement.when is When.NEVER else "raises"
        return f"\nIf a caller can cause it, say what it means:\n    {argument}=YourError(...)"
    guard = found.step.statement._shape.guard if found.step is not None else None
    if guard is None or violation.rows is None:
        return ""
    rows = f"at_least={guard.rows}" if guard.bound is Bound.AT_LEAST else f"{guard.rows}"
    rows = f"at_most={guard.rows}" if guard.bound is Bound.AT_MOST else rows
    argument = "missing" if violation.rows < guard.rows else "unexpected"
    line = f".expect({rows}, {argument}=YourError(...))"
    return f"\nIf a caller can cause it, map it:\n    {line}"


def _matcher(violation: Violation) -> Matcher:
    """The matcher that would have caught it."""
    if violation.kind is ViolationKind.NOT_NULL and violation.column:
        return not_null(violation.column)
    if violation.kind is not ViolationKind.OTHER and violation.constraint:
        return Matcher(violation.kind, _declarable(violation))
    return sqlstate(violation.sqlstate)
