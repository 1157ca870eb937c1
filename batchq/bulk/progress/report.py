# SPDX-License-Identifier: MIT
"""What one activation did."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from enum import Enum

from attrs import define, field


def _counter() -> Counter[str]:
    return Counter()


class StopReason(Enum):
    """Why an activation ended."""

    EXHAUSTED = "no job is left that nobody holds"
    CHUNKS = "its budget of chunks is used up"
    ROWS = "its budget of rows is used up"
    SECONDS = "its time is used up"
    INTERRUPTED = "it was asked to stop"
    THROTTLED = "a throttle holds it back"
    FAILED = "the server refused a step, or the connection was lost"


@define(kw_only=True)
class Report:
    """What an activation did. Two of them add up, to what both did."""

    stop_reason: StopReason = StopReason.EXHAUSTED
    detail: str = ""
    """The throttle's reason, or the failure."""
    jobs_done: int = 0
    jobs_stuck: int = 0
    jobs_released: int = 0
    """Claimed, and left with rows for the next activation."""
    jobs_skipped: int = 0
    """Of a version that this library does not know; left as they are."""
    leases_lost: int = 0
    chunks: int = 0
    rows: int = 0
    """Gone and committed by this activation; never one twice."""
    rows_by_table: Counter[str] = field(factory=_counter)
    chunks_by_table: Counter[str] = field(factory=_counter)
    retries: int = 0
    """Steps that were rolled back for a timeout or a conflict, and tried again."""
    throttled: Counter[str] = field(factory=_counter)
    """How often each throttle's reason ended an activation."""
    elapsed: float = field(default=0.0, eq=False)
    """Seconds."""
    rows_after_fence: int = 0
    """How often rows were found at the end: come behind the fence, or changed by somebody while a
    chunk waited for them."""
    skipped_locked: int = 0
    """Chunks that went around rows which others had locked."""
    jobs_unfinished: int = 0
    """Unfinished jobs of these trees when it ended, those that others hold included."""
    oldest_job_age: timedelta | None = None
    """The age of the oldest of them: what to raise an alarm on. None where there is none."""

    def __add__(self, later: Report) -> Report:
        """What both did; how it stands at the end is as the later one says."""
        return Report(
            stop_reason=later.stop_reason,
            detail=later.detail,
            jobs_done=self.jobs_done + later.jobs_done,
            jobs_stuck=self.jobs_stuck + later.jobs_stuck,
            jobs_released=self.jobs_released + later.jobs_released,
            jobs_skipped=later.jobs_skipped,
            leases_lost=self.leases_lost + later.leases_lost,
            chunks=self.chunks + later.chunks,
            rows=self.rows + later.rows,
            rows_by_table=self.rows_by_table + later.rows_by_table,
            chunks_by_table=self.chunks_by_table + later.chunks_by_table,
            retries=self.retries + later.retries,
            throttled=self.throttled + later.throttled,
            elapsed=self.elapsed + later.elapsed,
            rows_after_fence=self.rows_after_fence + later.rows_after_fence,
            skipped_locked=self.skipped_locked + later.skipped_locked,
            jobs_unfinished=later.jobs_unfinished,
            oldest_job_age=later.oldest_job_age,
        )
