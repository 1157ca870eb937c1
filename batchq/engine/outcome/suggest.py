# SPDX-License-Identifier: MIT
"""Suggest the next line of code to write: the one that would map a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchq.engine.hints import hint
from batchq.language.guards import Bound, Guard, When
from batchq.language.left_rows import notes_left
from batchq.language.matchers import Matcher, constraint, matcher_of, not_null, sqlstate
from batchq.language.results import Rows
from batchq.language.violation import Violation, ViolationKind

if TYPE_CHECKING:
    from batchq.engine.outcome.failure import Failure
    from batchq.engine.outcome.resolve import FailedStep
    from batchq.language.shape import Shape

OLD_SNAPSHOT = """\
The steps after a for_update() must see everything that was committed before it got its lock. At
this level they see what was committed when the transaction began. Run the batch at READ COMMITTED:
    run(conn, batch, isolation="read committed")
With nested=True it is the outer transaction that has to begin at that level."""


def suggest_mapping(failure: Failure) -> str:
    """Return the step's mappings, and the line that would map the violation."""
    violation, failed = failure.violation, failure.failed_step
    # For a constraint of a partition the whole table's, which covers all partitions.
    name = violation.part_of[-1] if violation.part_of else violation.constraint
    lines = [f"    .on({_matcher(violation, name)}, YourError(...))"]
    if name and not failed.candidates:
        lines += ["If it can only be a bug, declare it:", f"    .{constraint(name)}"]
    if failed.candidates:
        place = "around those steps" if len(failed.candidates) > 1 else "there"
        before = [f"If a caller can cause it, map it once, {place}:"]
    elif failed.step is not None:
        mapped = "\n    ".join(["This step maps:", *failure.step_mappings])
        heading = mapped if failure.step_mappings else "This step maps nothing."
        before = [heading, "If a caller can cause it, map it:"]
    elif name:
        before = ["No step declares it. If a caller can cause it, map it where it is written:"]
    else:
        return ""
    cause = hint(violation, failed.step, reports_old=failure.ended.ready.state.abilities.old)
    return "\n" + "\n".join(before + lines) + cause


def suggest_guard(violation: Violation, failed: FailedStep) -> str:
    """Return the argument that would map a failed guard."""
    if violation.isolation is not None:
        return f"\n{OLD_SNAPSHOT}"
    if violation.requirement is not None:
        if _matches_twice(violation, failed):
            return (
                "\nThis row matches two rows of the other table, and either could decide: add to "
                "on= or where= what distinguishes them, or pass a select() of one of them. If a "
                "caller can cause it, map it:\n    .on(unexpected(), YourError(...))"
            )
        carries = failed.step is not None and failed.step.placed.statement._shape.carries_unexpected
        argument = "unexpected" if carries else "raises"
        return f"\nIf a caller can cause it, map it:\n    {argument}=YourError(...)"
    shape = failed.step.placed.statement._shape if failed.step is not None else None
    if shape is None or shape.guard is None or violation.rows is None:
        return ""
    return _suggest_rows(shape, shape.guard, violation.rows)


def _suggest_rows(shape: Shape, guard: Guard, found: int) -> str:
    """Return what would map a failed guard on the number of rows."""
    if notes_left(shape.source):
        return (
            "\nA trigger has suppressed the write. If a caller can cause it, map it:\n"
            "    .on(missing(), YourError(...))"
        )
    if shape.result.rows is Rows.MAYBE:  # it implies its guard, and takes no other
        return ""
    names = {Bound.EXACTLY: "", Bound.AT_LEAST: "at_least=", Bound.AT_MOST: "at_most="}
    rows = f"{names[guard.bound]}{guard.rows}"
    argument = "missing" if found < guard.rows else "unexpected"
    line = f".expect({rows}, {argument}=YourError(...))"
    return f"\nIf a caller can cause it, map it:\n    {line}"


def _matches_twice(violation: Violation, failed: FailedStep) -> bool:
    if failed.step is None or violation.requirement is None:
        return False
    shape = failed.step.placed.statement._shape
    return shape.requirements[violation.requirement].when is When.ONCE


def _matcher(violation: Violation, name: str | None) -> Matcher:
    """Return the matcher that would have matched the violation.

    :param name: the constraint to name.
    """
    if violation.kind is ViolationKind.NOT_NULL and violation.column:
        return not_null(violation.column)
    if violation.kind is not ViolationKind.OTHER and name:
        return matcher_of(violation.kind, name)
    return sqlstate(violation.sqlstate)
