# SPDX-License-Identifier: MIT
"""Keep the progress of this process's jobs in memory, to be read without asking the database.

Why: the status of a service is needed most when its database is in trouble. So the latest events
are kept here, within bounds, and any thread may read them.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Any
from uuid import UUID

from attrs import define, field, setters

from batchq.bulk.progress.events import Progress
from batchq.bulk.progress.report import Report
from batchq.language.argument_types import of
from batchq.progress.kept import Kept

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
    """An observer that keeps the latest events and reports.

    Several workers may share one monitor, and other threads may read it meanwhile: what they read
    is a copy.

    :param max_events: how many events are kept, and for how many jobs the latest event. The oldest
        are dropped first.
    :raises ValueError: if ``max_events`` is not positive.
    :raises TypeError: if ``max_events`` is not an int.

    >>> monitor = Monitor(max_events=100)
    >>> monitor(Report(chunks=2, rows=900))
    >>> monitor(Report(chunks=1, rows=100))
    >>> monitor.last_report.rows, monitor.lifetime.rows
    (100, 1000)
    >>> monitor.status()["stop_reason"]
    'EXHAUSTED'
    """

    max_events: int = field(
        default=4096, on_setattr=setters.frozen, validator=of("Monitor", int, "4096", TypeError)
    )
    _kept: Kept[Progress, Report] = field(init=False, repr=False)
    _jobs: OrderedDict[UUID, Progress] = field(
        init=False, repr=False, factory=OrderedDict[UUID, Progress]
    )

    def __attrs_post_init__(self) -> None:
        if self.max_events < 1:
            raise ValueError(f"Monitor(max_events={self.max_events!r}): it must be at least 1")
        self._kept = Kept(max_events=self.max_events)

    def __call__(self, event: Progress | Report) -> None:
        """Keep an event or a report."""
        if isinstance(event, Progress):
            self._add_event(event)
        else:
            self._kept.add_report(event)

    @property
    def recent(self) -> tuple[Progress, ...]:
        """Return the latest events, oldest first."""
        return self._kept.recent

    @property
    def jobs(self) -> dict[UUID, Progress]:
        """Return the latest event of each job; the job with the latest event comes last."""
        with self._kept.lock:
            return dict(self._jobs)

    @property
    def last_report(self) -> Report | None:
        """Return the report of the last worker; None before the first one has stopped."""
        return self._kept.last_report

    @property
    def lifetime(self) -> Report | None:
        """Return the sum of all reports; None before the first worker has stopped."""
        return self._kept.lifetime

    @property
    def last_ended_at(self) -> datetime | None:
        """Return when the last worker stopped (aware, UTC); None before the first has stopped."""
        return self._kept.last_ended_at

    def status(self) -> dict[str, Any]:
        """Return everything but the single events, for ``json.dumps``.

        Times are in ISO 8601, ages in seconds. ``oldest_job_age_seconds`` is as of
        ``last_ended_at``: an alarm should look at both, because neither changes if no worker runs.

        >>> sorted(Monitor().status())  # doctest: +NORMALIZE_WHITESPACE
        ['all_jobs_stuck', 'detail', 'jobs', 'jobs_unfinished', 'last_ended_at',
         'last_run_counters', 'lifetime_counters', 'oldest_job_age_seconds', 'stop_reason']
        """
        with self._kept.lock:  # all from the same moment
            jobs, last, lifetime = tuple(self._jobs.values()), self.last_report, self.lifetime
            ended = self.last_ended_at
        oldest = None if last is None else last.oldest_job_age
        return {
            "last_ended_at": ended and ended.isoformat(),
            "stop_reason": last and last.stop_reason.name,
            "detail": last and last.detail,
            "jobs_unfinished": last and last.jobs_unfinished,
            "all_jobs_stuck": last and last.all_jobs_stuck,
            "oldest_job_age_seconds": None if oldest is None else oldest.total_seconds(),
            "last_run_counters": last and _counters(last),
            "lifetime_counters": lifetime and _counters(lifetime),
            "jobs": [_job(job) for job in jobs],
        }

    def _add_event(self, progress: Progress) -> None:
        with self._kept.lock:
            self._kept.add_event(progress)
            self._jobs[progress.job] = progress
            self._jobs.move_to_end(progress.job)
            if len(self._jobs) > self.max_events:
                self._jobs.popitem(last=False)


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
