# SPDX-License-Identifier: MIT
"""Reject a text that a session reads differently from batchq's scanner."""

from __future__ import annotations

from batchq.engine.plan import Plan
from batchq.engine.program import Program
from batchq.engine.step import invalid_step

_REASON = (
    "a plain string in its SQL has a backslash, which has another meaning on this session: "
    "standard_conforming_strings is off. Write E'…', pass it as a parameter, or turn that on"
)


def check_backslashes(plan: Plan, program: Program) -> None:
    """Reject a plain string with a backslash, for a session without standard_conforming_strings.

    :raises InvalidBatch: for the first such statement.
    """
    for index, step in enumerate(program.steps):
        if step.has_backslash:
            raise invalid_step(plan, index, _REASON)
