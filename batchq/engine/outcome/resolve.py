# SPDX-License-Identifier: MIT
"""Whom a failure belongs to, and what was said about it: from verdict to step and meaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen

from batchq.engine.outcome.deferred_key import find_step_by_key
from batchq.engine.outcome.deferred_suspects import Suspects, find_suspects, steps_to_look_up
from batchq.engine.scope import PlacedStatement, Resolution
from batchq.engine.step import PlacedStep
from batchq.engine.wire.flight import CLOSING

if TYPE_CHECKING:
    from batchq.engine.outcome.attribute import Verdict
    from batchq.language.statement import Statement
    from batchq.language.violation import Violation


@frozen
class FailedStep:
    """The step that failed and what that means; each None where nobody knows."""

    step: PlacedStep | None = None
    resolution: Resolution | None = None
    candidates: tuple[PlacedStep, ...] = ()
    """At COMMIT only: the steps that it may be, when they are several or who declares the
    constraint is not to blame."""
    why: str = ""
    """Why none of these is the one; or why the step is, though it does not declare it."""


def find_failed_step(
    verdict: Verdict, violation: Violation, leaves: Sequence[PlacedStatement]
) -> FailedStep:
    """Find the step that a violation belongs to, and the mapping that decides what it means."""
    if verdict.step_index is not None:
        leaf = leaves[verdict.step_index]
        return FailedStep(PlacedStep(verdict.step_index, leaf), leaf.resolve(violation))
    if verdict.owner != CLOSING:
        return FailedStep()  # the frame's own
    return _deferred(verdict, violation, leaves)


def steps_decided_by_key(
    verdict: Verdict, violation: Violation, leaves: Sequence[PlacedStatement]
) -> tuple[PlacedStep, ...]:
    """Of a failure at COMMIT that the table and the key which the server names may decide: the
    steps that it is decided among."""
    if verdict.step_index is not None or verdict.owner != CLOSING:
        return ()
    declaring, meanings = _declaring(violation, leaves)
    steps = tuple(step for step, _ in declaring)
    if asked := steps_to_look_up(violation, steps, _others(leaves, steps)):
        return tuple(asked)
    if len(meanings) == 1 or len(steps) < 2 or find_step_by_key(violation, steps)[0] is None:  # noqa: PLR2004
        return ()
    return steps


def _deferred(
    verdict: Verdict, violation: Violation, leaves: Sequence[PlacedStatement]
) -> FailedStep:
    """Trace what COMMIT reports back to the step that declared that constraint.

    The server does not say which statement broke a deferred constraint. Where several steps declare
    it, and all of them mean the same, that much is certain. Else the key in DETAIL tells, where one
    of them alone can have put it there, and nothing makes other rows of what the steps say. And
    what they declare is not held against them where it is another step's, as far as is known.
    """
    declaring, meanings = _declaring(violation, leaves)
    candidates = tuple(step for step, _ in declaring)
    doubted = find_suspects(violation, candidates, _others(leaves, candidates), verdict.tables)
    if doubted is not None:
        return _doubted(doubted, violation)
    if len(declaring) == 1:
        return FailedStep(*declaring[0])
    if len(meanings) == 1:
        return FailedStep(
            None, meanings[0], candidates, _several(candidates, "it does not say which")
        )
    if not candidates:
        return FailedStep()
    place, unclear = find_step_by_key(violation, candidates)
    if place is not None and verdict.may_change_rows is False:
        return FailedStep(*declaring[place])
    if place is not None:
        unclear = _REWRITTEN if verdict.may_change_rows else _UNANSWERED
    return FailedStep(None, None, candidates, _several(candidates, unclear))


def _doubted(found: Suspects, violation: Violation) -> FailedStep:
    """Blame who has written the key, if that is known, and say what was said about that step."""
    if found.is_proven:
        step = found.suspects[0]
        return FailedStep(step, step.placed.resolve(violation), (), found.why)
    return FailedStep(None, None, found.suspects, found.why)


def _others(leaves: Sequence[PlacedStatement], steps: Sequence[PlacedStep]) -> list[PlacedStep]:
    places = {step.index for step in steps}
    return [PlacedStep(n, leaf) for n, leaf in enumerate(leaves) if n not in places]


def _several(steps: Sequence[PlacedStep], unclear: str) -> str:
    return f"declared by {len(steps)} steps, and {unclear}"


_REWRITTEN = "a trigger, a rule or a view there may make other keys of what they say"
_UNANSWERED = "the server did not say whether a trigger makes other keys of what they say"

_Declaring = list[tuple[PlacedStep, Resolution]]


def _declaring(
    violation: Violation, leaves: Sequence[PlacedStatement]
) -> tuple[_Declaring, list[Resolution]]:
    """Find the steps that declare a constraint, and the different things that is said to mean."""
    found = [
        (PlacedStep(index, leaf), leaf.resolve(violation)) for index, leaf in enumerate(leaves)
    ]
    mapped = [(step, resolution) for step, resolution in found if resolution is not None]
    own = [step for step, _ in mapped if _declares(step.statement, violation)]
    # A mapping around a step that declares it says what that means, and declares nothing itself.
    around = {
        id(said.raises)
        for step in own
        for said in step.placed.mappings
        if not isinstance(said, str)
    }
    declaring = [
        (step, resolution)
        for step, resolution in mapped
        if step in own or id(resolution.mapping.raises) not in around
    ]
    meanings = {(id(one.mapping.raises), one.context): one for _, one in mapped}
    return declaring, list(meanings.values())


def _declares(statement: Statement[Any], violation: Violation) -> bool:
    return any(rule.matcher.matches(violation) for rule in statement._mappings)
