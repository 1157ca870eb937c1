# SPDX-License-Identifier: MIT
"""What watchers are told of a job while somebody works on it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from uuid import UUID

from attrs import field, frozen

from batchq.bulk.progress.report import Report


class Event(Enum):
    """What has happened to a job."""

    CLAIMED = "claimed"
    CHUNK = "a chunk was committed"
    RESTARTED = "begun again: rows were found at the end, or a constraint holds some back"
    RETRIED = "a step was rolled back, for a timeout or a conflict, and is tried again"
    THROTTLED = "a throttle holds it back"
    DONE = "done"
    STUCK = "stuck: somebody has to look at it"
    RELEASED = "left for the next activation"
    LEASE_LOST = "somebody else has it now"


def _now() -> datetime:
    return datetime.now(UTC)


@frozen(kw_only=True)
class Progress:
    """How far a job is, after something has happened to it."""

    event: Event
    at: datetime = field(factory=_now)
    job: UUID
    task: str
    root: str
    table: str | None
    """The one that is being swept; None when it is the parent's turn."""
    rows: int = 0
    """How many went with this event's chunk."""
    rows_done: int
    """Of the job, in its whole life."""
    expected: int | None = None
    """The planner's estimate of its rows in all, from before it was first claimed, or what is done
    if that is more; None where it had none."""
    chunk_size: int
    """Rows that the next chunk is asked for."""
    elapsed: float = 0.0
    """Seconds that this event's chunk took."""
    rate: float | None = None
    """Rows a second, since the job was claimed; None before the first chunk."""
    detail: str = ""
    """Of THROTTLED, RETRIED, STUCK and DEFERRED: what the reason is."""

    @property
    def remaining(self) -> float | None:
        """Seconds until the job's last row is gone, at this rate; None while there is none."""
        if self.expected is None or not self.rate:
            return None
        return max(self.expected - self.rows_done, 0) / self.rate


Observer = Callable[[Progress | Report], object]
"""Told after everything that happens to a job, and at the end of the activation the report."""
