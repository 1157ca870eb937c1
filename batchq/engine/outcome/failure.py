# SPDX-License-Identifier: MIT
"""Gather the facts about a failure, from which its report is chosen and written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from batchq.engine.outcome.resolve import FailedStep, find_failed_step
from batchq.language.value import value

if TYPE_CHECKING:
    from batchq.engine.dialects import Dialect
    from batchq.engine.outcome.attribute import Verdict
    from batchq.engine.plan import Plan
    from batchq.engine.wire.connection_state import AnyConnection, ConnectionState
    from batchq.engine.wire.frame import Frame
    from batchq.language.violation import Violation


class Prepared(Protocol):
    """The part of a batch made ready that a report is made of."""

    @property
    def state(self) -> ConnectionState:
        """Return what is known of the connection."""
        ...

    @property
    def dialect(self) -> Dialect:
        """Return the server's."""
        ...


class Ended(Protocol):
    """A transaction that has ended."""

    connection: AnyConnection
    plan: Plan
    frame: Frame

    @property
    def ready(self) -> Prepared:
        """Return the batch as it was made ready."""
        ...


@value
class Failure:
    """The facts about the failure of a batch that the server has proven to have ended."""

    ended: Ended
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


def facts_of(ended: Ended, verdict: Verdict, violation: Violation, summary: str) -> Failure:
    """Return the facts about a failure, and add the values of the step to the violation."""
    failed = find_failed_step(verdict, violation, ended.plan)
    step, resolution = failed.step, failed.resolution
    name, context, mappings = "", None, tuple[str, ...]()
    if step is not None:
        object.__setattr__(violation, "values", step.named_values)
        name, context = str(step), step.placed.declared.context
        mappings = () if resolution is not None else step.mappings
    if resolution is not None and resolution.for_caller is not None:
        context = None
    elif resolution is not None and step is None:
        context = resolution.context  # the one around every step that may have failed
    return Failure(ended, verdict, violation, summary, failed, name, mappings, context)
