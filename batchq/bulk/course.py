# SPDX-License-Identifier: MIT
"""What the jobs of one activation share: its orders, its report, and what ends it."""

from __future__ import annotations

import time

from attrs import define, evolve, field

from batchq.bulk.options import Orders
from batchq.bulk.progress import Event, Progress
from batchq.bulk.report import Report, Stopped
from batchq.bulk.requests import Steps, T, ask
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
            self.end(Stopped.ASKED)
        elif report.chunks >= budget.chunks:
            self.end(Stopped.CHUNKS)
        elif report.rows >= budget.rows:
            self.end(Stopped.ROWS)
        elif self.elapsed() >= budget.seconds:
            self.end(Stopped.SECONDS)
        else:
            reason = yield from self._throttled()
            if reason is None:
                return
            report.throttled[reason] += 1
            self.end(Stopped.THROTTLED, reason)
            self.tell(evolve(held, event=Event.THROTTLED, why=reason))
        raise Over

    def end(self, stopped: Stopped, why: str = "") -> None:
        """Write down why it ends."""
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
