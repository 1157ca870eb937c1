# SPDX-License-Identifier: MIT
"""Gather the facts about a failure, from which its report is chosen and written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from batchq.engine.outcome.resolve import FailedStep, find_failed_step
from batchq.engine.scope import PlacedStatement

if TYPE_CHECKING:
    from batchq.engine.abilities import Abilities
    from batchq.engine.dialects import Dialect, Parameters
    from batchq.engine.outcome.attribute import Verdict
    from batchq.engine.wire.frame import Frame
    from batchq.language.violation import Violation


@frozen
class Failure:
    """The facts about the failure of a batch that the server has proven to have ended."""

    verdict: Verdict
    violation: Violation
    """With the values of the step that failed."""
    summary: str
    """The violation as text, without values."""
    failed_step: FailedStep
    step_name: str
    """The step that failed, as text; empty if it is unknown."""
    step_mappings: tuple[str, ...]
    """The mappings of that step, if none of them applies."""
    context: str | None
    """The context of the mapping that applies or, without one, of the step."""
    dialect: Dialect
    frame: Frame
    server: Parameters
    abilities: Abilities


def facts_of(
    verdict: Verdict,
    violation: Violation,
    statements: Sequence[PlacedStatement],
    summary: str,
    *,
    dialect: Dialect,
    frame: Frame,
    server: Parameters,
    abilities: Abilities,
) -> Failure:
    """Return the facts about a failure."""
    failed = find_failed_step(verdict, violation, statements)
    step, resolution = failed.step, failed.resolution
    name, context, mappings = "", None, tuple[str, ...]()
    if step is not None:
        violation = evolve(violation, values=step.named_values)
        name, context = str(step), step.placed.declared.context
        mappings = () if resolution is not None else step.mappings
    if resolution is not None and resolution.for_caller is not None:
        context = None
    elif resolution is not None and step is None:
        context = resolution.context  # the one around every step that may have failed
    return Failure(
        verdict=verdict,
        violation=violation,
        summary=summary,
        failed_step=failed,
        step_name=name,
        step_mappings=mappings,
        context=context,
        dialect=dialect,
        frame=frame,
        server=server,
        abilities=abilities,
    )
