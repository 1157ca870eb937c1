# SPDX-License-Identifier: MIT
"""Write the texts of reports, which show no values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchq.engine.outcome.suggest import suggest_guard, suggest_mapping
from batchq.engine.wire.flight import CLOSING, OWNERS
from batchq.language.guards import EXACTLY_ONE
from batchq.language.outcome import Outcome
from batchq.language.violation import Violation, ViolationKind

if TYPE_CHECKING:
    from batchq.engine.outcome.attribute import Verdict
    from batchq.engine.outcome.classify import ReportClass
    from batchq.engine.outcome.failure import Failure
    from batchq.engine.outcome.resolve import FailedStep

OUTCOME_TEXTS = {
    Outcome.NOT_SENT: "nothing was sent",
    Outcome.ROLLED_BACK: "rolled back, nothing was kept",
    Outcome.UNKNOWN: "whether it was committed is unknown: read before running it again",
}

_MAX_CANDIDATES = 10


def write_report(failure: Failure, cls: ReportClass) -> str:
    """Return the text of a report: the failed step, the violation, the outcome, and a suggestion.

    :param cls: the class that was chosen.
    """
    violation, failed = failure.violation, failure.failed_step
    prefix = f"{failure.context}: " if failure.context else ""
    is_guard = violation.kind is ViolationKind.GUARD
    wanted = _wanted(violation, failed) if is_guard else ""
    text = f"{prefix}{where(failure.verdict, failed, failure.step_name)}: {failure.summary}{wanted}"
    parts = (text, OUTCOME_TEXTS[failure.verdict.outcome], *cls.reasons)
    hint = cls.hint
    if hint is None:
        hint = suggest_guard(violation, failed) if is_guard else suggest_mapping(failure)
    return "; ".join(parts) + hint


def _wanted(violation: Violation, failed: FailedStep) -> str:
    """Return what a guard wanted, if it was about rows."""
    if violation.isolation is not None or failed.step is None:
        return ""
    shape = failed.step.placed.statement._shape
    if violation.requirement is not None:
        return f", wanted {shape.requirements[violation.requirement]}"
    return f", wanted {shape.guard or EXACTLY_ONE}"  # a step with an output must return one row


def where(verdict: Verdict, failed: FailedStep, step_name: str = "") -> str:
    """Return the name of the failed step, or of the part of the frame that reported the error."""
    if step_name:
        reason = f" ({failed.reason})" if failed.reason else ""
        return f"{step_name} at COMMIT{reason}" if verdict.owner == CLOSING else step_name
    part = OWNERS.get(CLOSING if verdict.owner is None else verdict.owner, "the batch")
    if not failed.candidates:
        return part
    steps = ", ".join(map(str, failed.candidates[:_MAX_CANDIDATES]))
    if len(failed.candidates) > _MAX_CANDIDATES:
        steps += ", …"
    return f"{part} ({failed.reason}: {steps})"
