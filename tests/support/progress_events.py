# SPDX-License-Identifier: MIT
"""Progress events as a worker makes them, for the tests of observers."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from batchq.bulk import Progress
from batchq.bulk.progress.events import Event


def progress(job: int = 7, event: Event = Event.CHUNK, **changes: Any) -> Progress:
    """Make the progress of a job of the task ``vpc``."""
    usual: dict[str, Any] = {
        "event": event,
        "job": UUID(int=job),
        "task": "vpc",
        "root": str(job),
        "table": "rule",
        "rows_done": 40,
        "chunk_size": 10,
    }
    return Progress(**{**usual, **changes})
