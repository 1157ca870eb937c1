# SPDX-License-Identifier: MIT
"""Write the texts of reports: they teach the next line of code to write, and show no values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchq.engine.compile.quoting import unqualified
from batchq.engine.hints import hint
from batchq.engine.wire.flight import CLOSING, OWNERS
from batchq.language.guards import EXACTLY_ONE, Bound
from batchq.language.matchers import Matcher, not_null, sqlstate
from batchq.language.outcome import Outcome
from batchq.language.results import Rows
from batchq.language.spelling import spelled
from batchq.language.violation import Violation, ViolationKind

if TYPE_CHECKING:
    from batchq.engine.outcome.attribute import Verdict
    from batchq.engine.outcome.resolve import FailedStep
    from batchq.language.statement import Statement

OUTCOME_TEXTS = {
    Outcome.NOT_SENT: "nothing was sent",
    Outcome.ROLLED_BACK: "rolled back, nothing was kept",
    Outcome.UNKNOWN: "whether it was committed is unknown: read before running it again",
}

OLD_SNAPSHOT = """\
The steps after a for_update() must see everything that was committed before it got its lock. At
this level they see what was committed when the transaction began. Run the batch at READ COMMITTED:
    run(conn, batch, isolation="read committed")
With nested=True it is the outer transaction that has to begin at that level."""

_MAX_CANDIDATES = 10


def describe_failure(verdict: Verdict, violation: Violation, failed: FailedStep) -> str:
    """Return the failed step, the violation and the outcome as one text."""
    wanted = ""
    about_rows = violation.kind is ViolationKind.GUARD and violation.isolation is None
    if about_rows and failed.step is not None:
        wanted = f", wanted {_wanted(violation, failed.step.statement)}"
    return f"{where(verdict, failed)}: {violation}{wanted}; {OUTCOME_TEXTS[verdict.outcome]}"


def _wanted(violation: Violation, statement: Statement[Any]) -> str:
    if violation.requirement is not None:
        return str(statement._shape.requirements[violation.requirement])
    return str(statement._shape.guard or EXACTLY_ONE)  # a step with an output must return one row


def where(verdict: Verdict, failed: FailedStep) -> str:
    """Return the name of the failed step, or of the part of the frame that reported the error."""
    if failed.step is not None:
        reason = f" ({failed.reason})" if failed.reason else ""
        return f"{failed.step} at COMMIT{reason}" if verdict.owner == CLOSING else str(failed.step)
    part = OWNERS.get(CLOSING if verdict.owner is None else verdict.owner, "the batch")
    if not failed.candidates:
        return part
    steps = ", ".join(map(str, failed.candidates[:_MAX_CANDIDATES]))
    if len(failed.candidates) > _MAX_CANDIDATES:
        steps += ", …"
    return f"{part} ({failed.reason}: {steps})"


def suggest_mapping(violation: Violation, failed: FailedStep) -> str:
    """Return the step's mappings, and the line that would map the violation."""
    if failed.candidates:
        place = "around those steps" if len(failed.candidates) > 1 else "there"
        lines = [f"If a caller can cause it, map it once, {place}:"]
    elif failed.step is not None:
        mappings = failed.step.mappings
        lines = ["This step maps:" if mappings else "This step maps nothing."]
        lines += [f"    {mapping}" for mapping in mappings]
        lines.append("If a caller can cause it, map it:")
    elif violation.constraint:
        lines = ["No step declares it. If a caller can cause it, map it where it is written:"]
    else:
        return ""
    lines.append(f"    .on({_matcher(violation)}, YourError(...))")
    if violation.constraint and not failed.candidates:
        lines.append("If it can only be a bug, declare it:")
        lines.append(f"    .invariant({spelled(_declarable(violation) or '')})")
    hints = hint(violation, failed.step) + _partition_hint(violation, failed)
    return "\n" + "\n".join(lines) + hints


def _declarable(violation: Violation) -> str | None:
    """Return the name to declare: for a constraint of a partition the whole table's, which covers
    all partitions."""
    return violation.part_of[-1] if violation.part_of else violation.constraint


def _partition_hint(violation: Violation, failed: FailedStep) -> str:
    """Return a hint about partitions, if the server names an index of another table than the
    statement's."""
    if violation.kind not in (ViolationKind.UNIQUE, ViolationKind.EXCLUSION) or violation.part_of:
        return ""
    table = None if failed.step is None else failed.step.statement._shape.source.table
    if table is None or violation.table in (None, unqualified(table)):
        return ""
    return (
        f"\nIf {violation.table} is a partition, name the constraint of the whole table instead: "
        f"it covers all of them"
    )


def suggest_guard(violation: Violation, failed: FailedStep) -> str:
    """Return the argument that would map a failed guard."""
    if violation.isolation is not None:
        return f"\n{OLD_SNAPSHOT}"
    if violation.requirement is not None:
        carries = failed.step is not None and failed.step.statement._shape.carries_unexpected
        argument = "unexpected" if carries else "raises"
        return f"\nIf a caller can cause it, map it:\n    {argument}=YourError(...)"
    shape = failed.step.statement._shape if failed.step is not None else None
    guard = shape.guard if shape is not None else None
    if shape is None or guard is None or violation.rows is None:
        return ""
    if shape.result.rows is Rows.MAYBE:  # it implies its guard, and takes no other
        return ""
    names = {Bound.EXACTLY: "", Bound.AT_LEAST: "at_least=", Bound.AT_MOST: "at_most="}
    rows = f"{names[guard.bound]}{guard.rows}"
    argument = "missing" if violation.rows < guard.rows else "unexpected"
    line = f".expect({rows}, {argument}=YourError(...))"
    return f"\nIf a caller can cause it, map it:\n    {line}"


def _matcher(violation: Violation) -> Matcher:
    """Return the matcher that would have matched the violation."""
    if violation.kind is ViolationKind.NOT_NULL and violation.column:
        return not_null(violation.column)
    if violation.kind is not ViolationKind.OTHER and violation.constraint:
        return Matcher(violation.kind, _declarable(violation))
    return sqlstate(violation.sqlstate)
