# SPDX-License-Identifier: MIT
"""What the job runs of one worker share: its options, its report, and when to stop."""

from __future__ import annotations

import time
from typing import NoReturn

from attrs import define, evolve, field

from batchq.bulk.progress.events import Event, Progress
from batchq.bulk.progress.report import Report, StopReason
from batchq.bulk.worker.options import WorkerOptions
from batchq.bulk.worker.requests import Requests, T, run_batch
from batchq.language.batch import Batch


class WorkerStopped(Exception):
    """The worker stops here, between two steps of a job."""


@define(kw_only=True, eq=False)
class RunContext:
    """What the job runs of one worker share."""

    options: WorkerOptions
    report: Report = field(factory=Report)
    _started: float = field(factory=time.monotonic)

    def run(self, batch: Batch[T]) -> Requests[T]:
        """Run a batch for its result."""
        return run_batch(batch, self.options.timeout)

    def check_limits(self, progress: Progress) -> Requests[None]:
        """Stop the worker if it should do no more.

        :param progress: the event that observers receive if a throttle is the reason.
        :raises WorkerStopped: if the worker stops.
        """
        report, budget = self.report, self.options.budget
        if self.options.stop():
            self._stop(StopReason.INTERRUPTED)
        if report.chunks >= budget.chunks:
            self._stop(StopReason.CHUNKS)
        if report.rows >= budget.rows:
            self._stop(StopReason.ROWS)
        if self.elapsed() >= budget.seconds:
            self._stop(StopReason.SECONDS)
        reason = yield from self._throttled()
        if reason is not None:
            report.throttled[reason] += 1
            self.notify(evolve(progress, event=Event.THROTTLED, detail=reason))
            self._stop(StopReason.THROTTLED, reason)

    def _stop(self, stop_reason: StopReason, detail: str = "") -> NoReturn:
        self.set_stop_reason(stop_reason, detail)
        raise WorkerStopped(detail or stop_reason.value)

    def set_stop_reason(self, stop_reason: StopReason, detail: str = "") -> None:
        """Record why the worker stops, unless a failure is recorded already."""
        if self.report.stop_reason is not StopReason.FAILED:
            self.report.stop_reason, self.report.detail = stop_reason, detail

    def elapsed(self) -> float:
        """Return the seconds since the worker was started."""
        return time.monotonic() - self._started

    def notify(self, event: Progress | Report) -> None:
        """Pass an event or the report to all observers."""
        for observer in self.options.observers:
            observer(event)

    def _throttled(self) -> Requests[str | None]:
        for throttle in self.options.throttles:
            reason: str | None = yield throttle
            if reason is not None:
                return reason
        return None
