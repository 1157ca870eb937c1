# SPDX-License-Identifier: MIT
"""A job that was just inserted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from attrs import evolve

from batchq.bulk import Job

_BEGUN = Job(
    id=UUID(int=0),
    task="vpc",
    version=1,
    root="1",
    generation=0,
    tables=[],
    phase="active",
    stage=0,
    cursor=None,
    seq=0,
    rows_done=0,
    scan_rows=0,
    expected=None,
    restarts=0,
    epoch=0,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    last_error=None,
)


def begun(**changes: Any) -> Job:
    """Make one that differs in these fields."""
    return evolve(_BEGUN, **changes)
