# SPDX-License-Identifier: MIT
"""Long deletes in the log: one line for an activation, one for a job's end, and what is amiss.

A row's values are in none of them: jobs are named by their tree, their root's key and their id.
Chunks are at debug, for there are thousands of them; a Watch keeps the latest.
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
"""Of what is not at debug."""


@frozen
class Log:
    """Writes to a logger of the standard library; one of the ``observers`` of ``resume``.

    :param logger: ``batchq.bulk``, unless told.

    >>> import sys
    >>> logger = logging.Logger("deletes")
    >>> logger.addHandler(logging.StreamHandler(sys.stdout))
    >>> Log(logger)(Report(chunks=3, rows=1200, jobs_done=1))  # doctest: +NORMALIZE_WHITESPACE
    activation ended, EXHAUSTED: 1200 rows in 3 chunks, 0 retries;
    jobs: 1 done, 0 stuck, 0 deferred, 0 refused, 0 waiting, the oldest for None
    """

    logger: logging.Logger = field(factory=lambda: logging.getLogger("batchq.bulk"))

    def __call__(self, told: Progress | Report) -> None:
        """Write one line."""
        if isinstance(told, Progress):
            self._job(told)
        else:
            self._activation(told)

    def _job(self, told: Progress) -> None:
        # The key is written as a literal: it is the caller's, and may hold an end of line.
        self.logger.log(
            _LEVELS.get(told.event, logging.DEBUG),
            "%s %r (job %s) %s%s: %d rows in all%s",
            told.task,
            told.root,
            told.job,
            told.event.name,
            _chunk(told) if told.event is Event.CHUNK else "",
            told.rows_done,
            _because(told.detail),
        )

    def _activation(self, told: Report) -> None:
        self.logger.log(
            logging.WARNING if told.stop_reason is StopReason.FAILED else logging.INFO,
            "activation ended, %s%s: %d rows in %d chunks, %d retries; "
            "jobs: %d done, %d stuck, %d deferred, %d refused, %d waiting, the oldest for %s",
            told.stop_reason.name,
            _because(told.detail),
            told.rows,
            told.chunks,
            told.retries,
            told.jobs_done,
            told.jobs_stuck,
            told.jobs_released,
            told.jobs_skipped,
            told.jobs_unfinished,
            told.oldest_job_age,
        )


def _chunk(told: Progress) -> str:
    return f", {told.rows} of {told.table} in {told.elapsed:.3f} s"


def _because(detail: str) -> str:
    """The first line of a reason: below it an error teaches, and the server quotes rows."""
    return f" ({detail.splitlines()[0]})" if detail else ""
