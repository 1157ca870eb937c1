# SPDX-License-Identifier: MIT
"""Progress events as a worker makes them, and an observer that keeps them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from batchq.bulk import Progress, Report
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


class Events(list[Progress]):
    """A watcher that keeps the events, and may do something at one of them."""

    def __init__(self, **at: Callable[[], object]) -> None:
        self._at = at

    def __call__(self, received: Progress | Report) -> None:
        if isinstance(received, Progress):
            self.append(received)
            self._at.get(received.event.name, bool)()

    @property
    def names(self) -> list[str]:
        return [progress.event.name for progress in self]
