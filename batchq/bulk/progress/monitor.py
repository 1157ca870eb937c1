# SPDX-License-Identifier: MIT
"""What this process knows of its long deletes, without asking the database.

Why: who looks at a service wants to know how far it is while the database is what is in trouble.
So what happens is kept here as it is told, within bounds, and may be read from any thread.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from copy import deepcopy
from datetime import UTC, datetime
from threading import RLock
from typing import Any
from uuid import UUID

from attrs import define, field, setters

from batchq.bulk.progress.events import Progress
from batchq.bulk.progress.report import Report

_COUNTERS = (
    "jobs_done",
    "jobs_stuck",
    "jobs_released",
    "jobs_skipped",
    "leases_lost",
    "chunks",
    "rows",
    "retries",
    "rows_after_fence",
    "skipped_locked",
)


@define(kw_only=True, eq=False)
class Monitor:
    """Keeps what is told of jobs and activations; one of the ``observers`` of ``resume``.

    One watch may be told by several activations at once, and read meanwhile from other threads:
    whatever is read is a copy.

    :param max_events: how many events are kept, and for how many jobs the latest event. The oldest
        are dropped first.
    :raises ValueError: if ``max_events`` is not positive.

    >>> watch = Monitor(max_events=100)
    >>> watch(Report(chunks=2, rows=900))
    >>> watch(Report(chunks=1, rows=100))
    >>> watch.last_report.rows, watch.lifetime.rows
    (100, 1000)
    >>> watch.status()["stop_reason"]
    'EXHAUSTED'
    """

    max_events: int = field(default=4096, on_setattr=setters.frozen)
    _recent: deque[Progress] = field(init=False, repr=False)
    _jobs: OrderedDict[UUID, Progress] = field(
        init=False, repr=False, factory=OrderedDict[UUID, Progress]
    )
    _last: Report | None = field(init=False, repr=False, default=None)
    _lifetime: Report | None = field(init=False, repr=False, default=None)
    _last_ended_at: datetime | None = field(init=False, repr=False, default=None)
    # A handler of signals may read in the very thread that is being told something, and would wait
    # for itself.
    _lock: RLock = field(init=False, repr=False, factory=RLock)

    def __attrs_post_init__(self) -> None:
        if self.max_events < 1:
            raise ValueError(f"Monitor(max_events={self.max_events!r}): at least one event is kept")
        self._recent = deque(maxlen=self.max_events)

    def __call__(self, told: Progress | Report) -> None:
        """Keep what has happened to a job, or what an activation did."""
        with self._lock:
            if isinstance(told, Progress):
                self._happened(told)
            else:
                # Whoever tells it may go on counting in it.
                self._ended(deepcopy(told))

    @property
    def recent(self) -> tuple[Progress, ...]:
        """What has happened, the latest last."""
        with self._lock:
            return tuple(self._recent)

    @property
    def jobs(self) -> dict[UUID, Progress]:
        """The latest of each job, the one heard of last at the end."""
        with self._lock:
            return dict(self._jobs)

    @property
    def last_report(self) -> Report | None:
        """What the last activation did; None before the end of the first."""
        with self._lock:
            return deepcopy(self._last)

    @property
    def lifetime(self) -> Report | None:
        """What all of them did, since this watch was made; None before the end of the first."""
        with self._lock:
            return deepcopy(self._lifetime)

    @property
    def last_ended_at(self) -> datetime | None:
        """When the last activation ended (aware, UTC); None before the end of the first."""
        with self._lock:
            return self._last_ended_at

    def status(self) -> dict[str, Any]:
        """All of it but the single events, for ``json.dumps``. Times are ISO 8601, ages seconds.

        ``oldest_job_age_seconds`` is as of ``last_ended_at``: an alarm on the one looks at the
        other too, which stands still when nobody resumes any more.

        >>> sorted(Monitor().status())  # doctest: +NORMALIZE_WHITESPACE
        ['detail', 'jobs', 'jobs_unfinished', 'last_ended_at', 'last_run_counters',
         'lifetime_counters', 'oldest_job_age_seconds', 'stop_reason']
        """
        with self._lock:  # all of one moment
            jobs, last, lifetime = tuple(self._jobs.values()), self._last, self._lifetime
            ended = self._last_ended_at
        oldest = None if last is None else last.oldest_job_age
        return {
            "last_ended_at": ended and ended.isoformat(),
            "stop_reason": last and last.stop_reason.name,
            "detail": last and last.detail,
            "jobs_unfinished": last and last.jobs_unfinished,
            "oldest_job_age_seconds": None if oldest is None else oldest.total_seconds(),
            "last_run_counters": last and _counters(last),
            "lifetime_counters": lifetime and _counters(lifetime),
            "jobs": [_job(job) for job in jobs],
        }

    def _happened(self, progress: Progress) -> None:
        self._recent.append(progress)
        self._jobs[progress.job] = progress
        self._jobs.move_to_end(progress.job)
        if len(self._jobs) > self.max_events:
            self._jobs.popitem(last=False)

    def _ended(self, report: Report) -> None:
        self._last_ended_at = datetime.now(UTC)
        self._last = report
        self._lifetime = report if self._lifetime is None else self._lifetime + report


def _counters(report: Report) -> dict[str, Any]:
    rows, chunks = report.rows_by_table, report.chunks_by_table
    return {
        **{name: getattr(report, name) for name in _COUNTERS},
        "throttled": dict(report.throttled),
        "tables": {
            table: {"rows": rows[table], "chunks": chunks[table]}
            for table in sorted({*rows, *chunks})
        },
    }


def _job(progress: Progress) -> dict[str, Any]:
    return {
        "job": str(progress.job),
        "task": progress.task,
        "root": progress.root,
        "event": progress.event.name,
        "at": progress.at.isoformat(),
        "table": progress.table,
        "rows_done": progress.rows_done,
        "expected": progress.expected,
        "remaining_seconds": progress.remaining,
        "rate": progress.rate,
        "chunk_size": progress.chunk_size,
        "detail": progress.detail,
    }
