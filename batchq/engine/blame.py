# SPDX-License-Identifier: MIT
"""Whom a failure belongs to, and what was said about it: from verdict to step and meaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import frozen

from batchq.engine.flight import CLOSING
from batchq.language.plan import Leaf, Resolution
from batchq.language.step import Step

if TYPE_CHECKING:
    from batchq.engine.attribute import Verdict
    from batchq.language.violation import Violation


@frozen
class Blame:
    """The step that failed and what that means; each None where nobody knows."""

    step: Step | None = None
    resolution: Resolution | None = None
    candidates: tuple[Step, ...] = ()
    """At COMMIT only: the steps that declare the constraint, when they are several."""


def blame(verdict: Verdict, violation: Violation, leaves: Sequence[Leaf]) -> Blame:
    """Find the step that a violation belongs to, and the mapping that decides what it means."""
    if verdict.blamed is not None:
        leaf = leaves[verdict.blamed]
        return Blame(Step(verdict.blamed, leaf), leaf.resolve(violation))
    if verdict.owner != CLOSING:
        return Blame()  # the frame's own
    return _deferred(violation, leaves)


def _deferred(violation: Violation, leaves: Sequence[Leaf]) -> Blame:
    """Trace what COMMIT reports back to the step that declared that constraint.

    The server does not say which statement broke a deferred constraint. Where several steps declare
    it, none is chosen; but when they all mean the same mapping, one around them all, its meaning is
    certain even so.
    """
    mapped: list[tuple[Step, Resolution]] = []
    for index, leaf in enumerate(leaves):
        resolution = leaf.resolve(violation)
        if resolution is not None:
            mapped.append((Step(index, leaf), resolution))
    own = [
        (step, resolution)
        for step, resolution in mapped
        if any(rule.matcher.matches(violation) for rule in step.statement.rules)
    ]
    declaring = own or mapped
    if len(declaring) == 1:
        return Blame(*declaring[0])
    meanings = {(id(resolution.rule), resolution.context): resolution for _, resolution in mapped}
    only = next(iter(meanings.values())) if len(meanings) == 1 else None
    return Blame(None, only, tuple(step for step, _ in declaring))
