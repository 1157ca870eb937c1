# SPDX-License-Identifier: MIT
"""A job that was just inserted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from attrs import evolve

from batchq.bulk import Job
from batchq.bulk.job import new_job

_BEGUN = new_job(UUID(int=0), "vpc", "1", datetime(2026, 1, 1, tzinfo=UTC))


def begun(**changes: Any) -> Job:
    """Make one that differs in these fields."""
    return evolve(_BEGUN, **changes)
