# SPDX-License-Identifier: MIT
"""What the jobs of one activation share: its orders, its report, and what ends it."""

from __future__ import annotations

import time
from typing import NoReturn

from attrs import define, evolve, field

from batchq.bulk.progress.events import Event, Progress
from batchq.bulk.progress.report import Report, Stopped
from batchq.bulk.worker.options import Orders
from batchq.bulk.worker.requests import Steps, T, ask
from batchq.language.batch import Batch


class Over(Exception):
    """The activation ends here."""


@define(kw_only=True, eq=False)
class Course:
    """The course of one activation."""

    orders: Orders
    report: Report = field(factory=Report)
    _began: float = field(factory=time.monotonic)

    def ask(self, batch: Batch[T]) -> Steps[T]:
        """Run a batch for its result."""
        return ask(batch, self.orders.timeout)

    def check(self, held: Progress) -> Steps[None]:
        """End here when there is a reason to.

        :param held: what watchers are told of the job that a throttle holds back.
        :raises Over: when there is one.
        """
        report, budget = self.report, self.orders.budget
        if self.orders.stop():
            self._over(Stopped.ASKED)
        if report.chunks >= budget.chunks:
            self._over(Stopped.CHUNKS)
        if report.rows >= budget.rows:
            self._over(Stopped.ROWS)
        if self.elapsed() >= budget.seconds:
            self._over(Stopped.SECONDS)
        reason = yield from self._throttled()
        if reason is not None:
            report.throttled[reason] += 1
            self.tell(evolve(held, event=Event.THROTTLED, why=reason))
            self._over(Stopped.THROTTLED, reason)

    def _over(self, stopped: Stopped, why: str = "") -> NoReturn:
        self.end(stopped, why)
        raise Over(why or stopped.value)

    def end(self, stopped: Stopped, why: str = "") -> None:
        """Write down why it ends; a failure before it is what there is to look at."""
        if self.report.stopped is not Stopped.FAILED:
            self.report.stopped, self.report.why = stopped, why

    def elapsed(self) -> float:
        """How long it has been going on, in seconds."""
        return time.monotonic() - self._began

    def tell(self, progress: Progress | Report) -> None:
        """Tell whoever watches."""
        for watcher in self.orders.watchers:
            watcher(progress)

    def _throttled(self) -> Steps[str | None]:
        for throttle in self.orders.throttles:
            reason: str | None = yield throttle
            if reason is not None:
                return reason
        return None
