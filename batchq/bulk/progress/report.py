# SPDX-License-Identifier: MIT
"""The report of a worker: what it has done, and why it stopped."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from enum import Enum

from attrs import define, field


def _counter() -> Counter[str]:
    return Counter()


class StopReason(Enum):
    """Why a worker stopped."""

    EXHAUSTED = "no claimable job is left"
    CHUNKS = "its budget of chunks is used up"
    ROWS = "its budget of rows is used up"
    SECONDS = "its budget of seconds is used up"
    INTERRUPTED = "it was asked to stop"
    THROTTLED = "a throttle stopped it"
    FAILED = "a step failed"


@define(kw_only=True)
class Report:
    """What a worker has done. Two reports can be added."""

    stop_reason: StopReason = StopReason.EXHAUSTED
    detail: str = ""
    """The throttle's reason, or the first line of the failure: the server rejected a step, it could
    not be sent, or the connection was lost."""
    jobs_done: int = 0
    jobs_stuck: int = 0
    """Jobs that became stuck."""
    jobs_released: int = 0
    """Jobs that were claimed and are left to the next worker, unfinished."""
    jobs_skipped: int = 0
    """Jobs of another version of batchq, which are left as they are."""
    leases_lost: int = 0
    chunks: int = 0
    rows: int = 0
    """Rows deleted or updated by this worker, each counted once."""
    rows_by_table: Counter[str] = field(factory=_counter)
    chunks_by_table: Counter[str] = field(factory=_counter)
    retries: int = 0
    """Steps that were tried again after a timeout or a conflict."""
    throttled: Counter[str] = field(factory=_counter)
    """How often each reason of a throttle has stopped a worker."""
    elapsed: float = field(default=0.0, eq=False)
    """Seconds."""
    rows_after_fence: int = 0
    """How often rows were left after the last stage: inserted after the fence, or changed while a
    chunk waited for them."""
    skipped_locked: int = 0
    """Chunks that skipped rows which other transactions had locked."""
    jobs_unfinished: int = 0
    """Active jobs of these tasks when the worker stopped, those of other workers included."""
    all_jobs_stuck: int = 0
    """Stuck jobs of these tasks when the worker stopped: a person has to look at them, however long
    they have been there."""
    oldest_job_age: timedelta | None = None
    """The age of the oldest of them, for alarms; None if there is none."""

    def __add__(self, later: Report) -> Report:
        """Return what both have done; the state at the end is that of the later one."""
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
            all_jobs_stuck=later.all_jobs_stuck,
            oldest_job_age=later.oldest_job_age,
        )
