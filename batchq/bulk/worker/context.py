# SPDX-License-Identifier: MIT
"""What the jobs of one activation share: its orders, its report, and what ends it."""

from __future__ import annotations

import time
from typing import NoReturn

from attrs import define, evolve, field

from batchq.bulk.progress.events import Event, Progress
from batchq.bulk.progress.report import Report, StopReason
from batchq.bulk.worker.options import WorkerOptions
from batchq.bulk.worker.requests import Requests, T, ask
from batchq.language.batch import Batch


class WorkerStopped(Exception):
    """The activation ends here."""


@define(kw_only=True, eq=False)
class RunContext:
    """The course of one activation."""

    options: WorkerOptions
    report: Report = field(factory=Report)
    _began: float = field(factory=time.monotonic)

    def ask(self, batch: Batch[T]) -> Requests[T]:
        """Run a batch for its result."""
        return ask(batch, self.options.timeout)

    def check(self, held: Progress) -> Requests[None]:
        """End here when there is a reason to.

        :param held: what watchers are told of the job that a throttle holds back.
        :raises WorkerStopped: when there is one.
        """
        report, budget = self.report, self.options.budget
        if self.options.stop():
            self._over(StopReason.INTERRUPTED)
        if report.chunks >= budget.chunks:
            self._over(StopReason.CHUNKS)
        if report.rows >= budget.rows:
            self._over(StopReason.ROWS)
        if self.elapsed() >= budget.seconds:
            self._over(StopReason.SECONDS)
        reason = yield from self._throttled()
        if reason is not None:
            report.throttled[reason] += 1
            self.tell(evolve(held, event=Event.THROTTLED, detail=reason))
            self._over(StopReason.THROTTLED, reason)

    def _over(self, stopped: StopReason, detail: str = "") -> NoReturn:
        self.end(stopped, detail)
        raise WorkerStopped(detail or stopped.value)

    def end(self, stopped: StopReason, detail: str = "") -> None:
        """Write down why it ends; a failure before it is what there is to look at."""
        if self.report.stop_reason is not StopReason.FAILED:
            self.report.stop_reason, self.report.detail = stopped, detail

    def elapsed(self) -> float:
        """How long it has been going on, in seconds."""
        return time.monotonic() - self._began

    def tell(self, progress: Progress | Report) -> None:
        """Tell whoever watches."""
        for observer in self.options.observers:
            observer(progress)

    def _throttled(self) -> Requests[str | None]:
        for throttle in self.options.throttles:
            reason: str | None = yield throttle
            if reason is not None:
                return reason
        return None
