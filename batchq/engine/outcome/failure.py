# SPDX-License-Identifier: MIT
"""Gather the facts about a failure, from which its report is chosen and written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from batchq.engine.dialects import Dialect, Parameters
    from batchq.engine.outcome.attribute import Verdict
    from batchq.engine.outcome.resolve import FailedStep
    from batchq.engine.wire.frame import Frame
    from batchq.language.violation import Violation


@frozen
class Failure:
    """The facts about the failure of a batch that the server has proven to have ended."""

    verdict: Verdict
    violation: Violation
    summary: str
    """The violation as text, without values."""
    failed_step: FailedStep
    context: str | None
    """The context of the mapping that applies or, without one, of the step."""
    dialect: Dialect
    frame: Frame
    server: Parameters
