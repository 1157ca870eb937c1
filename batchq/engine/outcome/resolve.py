# SPDX-License-Identifier: MIT
"""Resolve a verdict to the step that failed and the mapping that applies to it.

At COMMIT the server does not report which statement violated a deferred constraint. So the step is
found by the mappings that declare that constraint, and by the table and key that are reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from batchq.engine.outcome.deferred_key import find_step_by_key
from batchq.engine.outcome.deferred_suspects import Suspects, find_suspects, steps_to_look_up
from batchq.engine.scope import PlacedStatement
from batchq.engine.step import PlacedStep
from batchq.engine.wire.flight import CLOSING
from batchq.language.exceptions import may_read_argument
from batchq.language.guards import Requirement, When
from batchq.language.mapping import ErrorMapping, Invariant, Raises
from batchq.language.matchers import TOO_MANY, Matcher
from batchq.language.syntax import columns_in
from batchq.language.value import value
from batchq.language.violation import Violation, ViolationKind

if TYPE_CHECKING:
    from batchq.engine.outcome.attribute import Verdict
    from batchq.engine.plan import Plan
    from batchq.language.statement import Statement

Placed = Mapping[int, PlacedStatement]
"""The statements that may have failed, by their indexes: one if it is known, else all."""


@value
class Resolution:
    """The mapping that decides, and the context of the as_invariant that makes it a bug."""

    mapping: ErrorMapping
    context: str | None

    @property
    def for_caller(self) -> Raises | None:
        """What the caller gets; None if the failure is a bug."""
        raises = self.mapping.raises
        return None if self.context is not None or isinstance(raises, Invariant) else raises


def mapping_for(placed: PlacedStatement, violation: Violation) -> Resolution | None:
    """Return the mapping that decides a violation: the outermost one that matches."""
    context: str | None = None
    for mapping in placed.declared.mappings:
        if isinstance(mapping, str):
            context = mapping
        elif mapping.matcher.matches(violation) and (
            violation.kind is not ViolationKind.GUARD
            or _fits_guard(violation, mapping.matcher, placed)
        ):
            return Resolution(mapping, context)
    return None


def _fits_guard(violation: Violation, matcher: Matcher, placed: PlacedStatement) -> bool:
    """Return False for a row-count mapping of the other direction, or of another condition.

    ``missing=`` maps too few rows only, ``unexpected=`` too many; ``unexpected()`` maps a row that
    matches two of another table as well.
    """
    shape = placed.statement._shape
    if violation.requirement is not None:
        if matcher.columns is not None:
            return _is_unmet(shape.requirements[violation.requirement], matcher.columns)
        if matcher not in TOO_MANY:
            return True
        # That of expect() is about the rows of the statement, and not about their matches.
        twice = shape.requirements[violation.requirement].when is When.ONCE
        return matcher.is_outer if twice else shape.carries_unexpected
    if violation.rows is None or shape.guard is None:
        return True
    if matcher in TOO_MANY:
        return violation.rows > shape.guard.rows
    return violation.rows < shape.guard.rows


def _is_unmet(requirement: Requirement, columns: frozenset[str]) -> bool:
    """Return whether a requirement is a condition on exactly these columns; of none, on any."""
    named = frozenset(columns_in(requirement.test))
    return requirement.when not in (When.NEVER, When.ONCE) and columns in (frozenset(), named)


@value
class FailedStep:
    """The step that failed, and the mapping that applies; each None if unknown."""

    step: PlacedStep | None = None
    resolution: Resolution | None = None
    candidates: tuple[PlacedStep, ...] = ()
    """At COMMIT only: the steps that may have failed, if it is not certain which of them did."""
    reason: str = ""
    """Why it is not certain; or why ``step`` has failed although it does not declare the
    constraint."""


def find_failed_step(verdict: Verdict, violation: Violation, plan: Plan) -> FailedStep:
    """Find the step that failed, and the mapping that applies to the violation."""
    index = verdict.step_index
    if index is not None:
        placed = plan.place(index)[index]
        return FailedStep(PlacedStep(index, placed), mapping_for(placed, violation))
    if verdict.owner != CLOSING:
        return FailedStep()  # another part of the frame failed
    return _deferred(verdict, violation, plan.place())


def steps_decided_by_key(
    verdict: Verdict, violation: Violation, statements: Placed
) -> tuple[PlacedStep, ...]:
    """Return the steps of which the reported table and key may decide which one failed.

    Empty unless COMMIT failed and they can decide.
    """
    if verdict.step_index is not None or verdict.owner != CLOSING:
        return ()
    declaring, resolutions = _declaring(violation, statements)
    steps = tuple(step for step, _ in declaring)
    if suspects := steps_to_look_up(violation, steps, _others(statements, steps)):
        return tuple(suspects)
    if len(steps) < 2 or _is_certain(resolutions):  # noqa: PLR2004
        return ()
    return () if find_step_by_key(violation, steps)[0] is None else steps


def _deferred(verdict: Verdict, violation: Violation, statements: Placed) -> FailedStep:
    """Find the step that failed at COMMIT among those that declare the constraint.

    If several steps declare it with one mapping, the mapping is certain although the step is not.
    Else the key in DETAIL decides, if only one of them can have written it and nothing changes the
    rows that they write. The declaration does not count if another step is known to have failed.
    """
    declaring, resolutions = _declaring(violation, statements)
    candidates = tuple(step for step, _ in declaring)
    others = _others(statements, candidates)
    suspects = find_suspects(violation, candidates, others, verdict.tables)
    if suspects is not None:
        return _from_suspects(suspects, violation)
    if len(declaring) == 1:
        return FailedStep(*declaring[0])
    if _is_certain(resolutions):
        reason = _several(candidates, "it does not say which")
        return FailedStep(None, resolutions[0], candidates, reason)
    if not candidates:
        return FailedStep()
    index, reason = find_step_by_key(violation, candidates)
    if index is not None and verdict.may_change_rows is False:
        return FailedStep(*declaring[index])
    if index is not None:
        reason = _KEYS_CHANGE if verdict.may_change_rows else _UNANSWERED
    shared = resolutions[0] if len(resolutions) == 1 else None
    return FailedStep(None, shared, candidates, _several(candidates, reason))


def _is_certain(resolutions: Sequence[Resolution]) -> bool:
    """Return whether the exception is the same whichever step has failed.

    A function, or a constructor, may make another one of each step's values.
    """
    if len(resolutions) != 1:
        return False
    raises = resolutions[0].for_caller
    if isinstance(raises, type):
        return not may_read_argument(raises)
    return isinstance(raises, BaseException) or raises is None


def _from_suspects(suspects: Suspects, violation: Violation) -> FailedStep:
    """Return the step that wrote the key, if it is proven, with the mapping that applies to it."""
    if suspects.is_proven:
        step = suspects.steps[0]
        return FailedStep(step, mapping_for(step.placed, violation), (), suspects.reason)
    return FailedStep(None, None, suspects.steps, suspects.reason)


def _others(statements: Placed, steps: Sequence[PlacedStep]) -> list[PlacedStep]:
    indexes = {step.index for step in steps}
    return [PlacedStep(n, placed) for n, placed in statements.items() if n not in indexes]


def _several(steps: Sequence[PlacedStep], reason: str) -> str:
    return f"declared by {len(steps)} steps, and {reason}"


_KEYS_CHANGE = "a trigger, a rule or a view there may change the keys that they write"
_UNANSWERED = "the server did not say whether a trigger changes the keys that they write"

_Declaring = list[tuple[PlacedStep, Resolution]]


def _declaring(violation: Violation, statements: Placed) -> tuple[_Declaring, list[Resolution]]:
    """Return the steps that declare a constraint, and the different mappings that they have."""
    resolved = [
        (PlacedStep(index, placed), mapping_for(placed, violation))
        for index, placed in statements.items()
    ]
    mapped = [(step, resolution) for step, resolution in resolved if resolution is not None]
    own = [step for step, _ in mapped if _declares(step.placed.statement, violation)]
    # A mapping around a step that declares it says what the failure means there. It does not
    # declare the constraint for the other steps within it.
    around = {
        id(mapping.raises)
        for step in own
        for mapping in step.placed.declared.mappings
        if not isinstance(mapping, str)
    }
    declaring = [
        (step, resolution)
        for step, resolution in mapped
        if step in own or id(resolution.mapping.raises) not in around
    ]
    different = {
        (id(resolution.mapping.raises), resolution.context): resolution for _, resolution in mapped
    }
    return declaring, list(different.values())


def _declares(statement: Statement[Any], violation: Violation) -> bool:
    return any(mapping.matcher.matches(violation) for mapping in statement._mappings)
