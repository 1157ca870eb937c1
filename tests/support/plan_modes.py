# SPDX-License-Identifier: MIT
"""The ways in which the server may come to plan a statement: a guard must fire in each."""

from __future__ import annotations

from typing import Any, Final

import psycopg
import pytest
from attrs import frozen


@frozen
class PlanMode:
    """Whether psycopg prepares statements, and which plan the server makes of a prepared one."""

    name: str
    prepare_threshold: int | None
    plan_cache_mode: str

    def set_on(self, conn: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
        """Let a connection plan so; return it."""
        conn.prepare_threshold = self.prepare_threshold
        conn.execute(f"SET plan_cache_mode = {self.plan_cache_mode}", prepare=False)
        return conn


# Not "auto" for what is prepared: it is a custom plan five times, and then one of these two.
UNPREPARED: Final = PlanMode("unprepared", None, "auto")
CUSTOM: Final = PlanMode("custom", 0, "force_custom_plan")
GENERIC: Final = PlanMode("generic", 0, "force_generic_plan")
PLAN_MODES: Final = (UNPREPARED, CUSTOM, GENERIC)

EACH_PLAN_MODE: Final = [pytest.param(mode, id=mode.name) for mode in PLAN_MODES]


def pairwise_mode(*places: int) -> PlanMode:
    """Return one mode for a case of a matrix, given its place in each of the other dimensions.

    Over the matrix each value of a dimension of three or more meets each mode, in a third of the
    cases that all modes for every case would be.
    """
    return PLAN_MODES[sum(places) % len(PLAN_MODES)]
