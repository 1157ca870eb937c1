# SPDX-License-Identifier: MIT
"""Log the end of workers and jobs, and what fails.

No line holds the values of a row: a job is named by its task, its parent's key and its id. Chunks
are logged at DEBUG, because there are thousands of them; a Monitor keeps the latest.
"""

from __future__ import annotations

import logging

from attrs import field, frozen

from batchq.bulk.progress.events import Event, Progress
from batchq.bulk.progress.report import Report, StopReason

_LEVELS = {
    Event.DONE: logging.INFO,
    Event.LEASE_LOST: logging.INFO,
    Event.RESTARTED: logging.WARNING,
    Event.STUCK: logging.WARNING,
}
"""The levels of events that are not logged at DEBUG."""


@frozen
class Log:
    """An observer that writes to a logger of the standard library.

    :param logger: the default is ``batchq.bulk``.

    >>> import sys
    >>> logger = logging.Logger("deletes")
    >>> logger.addHandler(logging.StreamHandler(sys.stdout))
    >>> Log(logger)(Report(chunks=3, rows=1200, jobs_done=1))  # doctest: +NORMALIZE_WHITESPACE
    worker stopped, EXHAUSTED: 1200 rows in 3 chunks, 0 retries;
    jobs: 1 done, 0 stuck, 0 released, 0 skipped, 0 unfinished, the oldest is None old
    """

    logger: logging.Logger = field(factory=lambda: logging.getLogger("batchq.bulk"))

    def __call__(self, event: Progress | Report) -> None:
        """Log an event or a report."""
        if isinstance(event, Progress):
            self._job(event)
        else:
            self._worker(event)

    def _job(self, progress: Progress) -> None:
        # The key is logged by repr(): it may hold a line break.
        self.logger.log(
            _LEVELS.get(progress.event, logging.DEBUG),
            "%s %r (job %s) %s%s: %d rows in all%s",
            progress.task,
            progress.root,
            progress.job,
            progress.event.name,
            _chunk(progress) if progress.event is Event.CHUNK else "",
            progress.rows_done,
            _in_brackets(progress.detail),
        )

    def _worker(self, report: Report) -> None:
        self.logger.log(
            logging.WARNING if report.stop_reason is StopReason.FAILED else logging.INFO,
            "worker stopped, %s%s: %d rows in %d chunks, %d retries; "
            "jobs: %d done, %d stuck, %d released, %d skipped, %d unfinished, "
            "the oldest is %s old",
            report.stop_reason.name,
            _in_brackets(report.detail),
            report.rows,
            report.chunks,
            report.retries,
            report.jobs_done,
            report.jobs_stuck,
            report.jobs_released,
            report.jobs_skipped,
            report.jobs_unfinished,
            report.oldest_job_age,
        )


def _chunk(progress: Progress) -> str:
    return f", {progress.rows} of {progress.table} in {progress.elapsed:.3f} s"


def _in_brackets(detail: str) -> str:
    """Format the first line of a detail: the server quotes rows in those after it."""
    return f" ({detail.splitlines()[0]})" if detail else ""
