# SPDX-License-Identifier: MIT
"""The events that observers receive while a worker runs a job."""

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
    RESTARTED = "restarted: rows were left after the last stage, or a constraint rejected a step"
    RETRIED = "a step was rolled back after a timeout or a conflict, and is tried again"
    THROTTLED = "a throttle stopped the worker"
    DONE = "done"
    STUCK = "stuck: a person has to look at it"
    RELEASED = "released for the next worker"
    LEASE_LOST = "another worker holds it now"


def _now() -> datetime:
    return datetime.now(UTC)


@frozen(kw_only=True)
class Progress:
    """The progress of a job after an event."""

    event: Event
    at: datetime = field(factory=_now)
    job: UUID
    task: str
    root: str
    table: str | None
    """The table of the current stage; None after the last stage."""
    rows: int = 0
    """The rows of this event's chunk."""
    rows_done: int
    """All rows of the job so far, by any worker."""
    expected: int | None = None
    """The planner's estimate of all rows of the job, made before the first claim, or ``rows_done``
    if that is more; None if there was no estimate."""
    chunk_size: int
    """Rows that the next chunk asks for."""
    elapsed: float = 0.0
    """Seconds that this event's chunk took."""
    rate: float | None = None
    """Rows per second since the job was claimed; None before the first chunk."""
    detail: str = ""
    """The reason for THROTTLED, RETRIED, RESTARTED, STUCK or RELEASED."""

    @property
    def remaining(self) -> float | None:
        """Return the seconds until the last row at this rate; None if that is unknown."""
        if self.expected is None or not self.rate:
            return None
        return max(self.expected - self.rows_done, 0) / self.rate


Observer = Callable[[Progress | Report], object]
"""Called after each event of a job, and with the report when the worker stops."""
