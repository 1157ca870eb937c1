# SPDX-License-Identifier: MIT
"""One activation: claim jobs, delete chunks, end what is empty; bounded, and safe from anywhere.

Any number of processes may run it at any time, from cron, a thread or a loop. It keeps no state of
its own: what it has done is in the jobs, and whoever comes next goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from attrs import define, evolve, field

from batchq.bulk.errors import FenceMoved, LateRows, LeaseLost
from batchq.bulk.jobs import Job
from batchq.bulk.law import ChunkSize, Pace
from batchq.bulk.report import Budget, Report, Stopped
from batchq.bulk.tree import Tree
from batchq.language.errors import BatchError, OutcomeUnknown, SerializationConflict
from batchq.language.outcome import Outcome
from batchq.running.answer import Failed
from batchq.running.run import attempt, run

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg_pool import ConnectionPool

_PASSES = 3
"""How often rows may come behind a fence before a job is stuck."""
_ATTEMPTS = 6
"""How often in a row a step may be canceled or in conflict, each time asked for fewer rows."""
_CLAIMED = 16
"""Jobs that are looked at together."""
_TIMEOUTS = frozenset({"57014", "55P03"})
"""What statement_timeout and lock_timeout answer (PostgreSQL documentation, appendix A)."""

_BUDGET, _SIZE = Budget(), ChunkSize()

Throttle = Callable[[], str | None]
"""Asked before each chunk, outside any transaction: a reason to wait, or None."""


def resume(
    database: Connection[Any] | ConnectionPool[Any],
    trees: Iterable[Tree],
    *,
    owner: str,
    budget: Budget = _BUDGET,
    size: ChunkSize = _SIZE,
    lease: timedelta = timedelta(seconds=30),
    timeout: float = 5.0,
    throttles: Iterable[Throttle] = (),
    stop: Callable[[], bool] = lambda: False,
) -> Report:
    """Go on with the jobs of these trees, within a budget.

    :param owner: who this is, for people who look at the table of jobs.
    :param lease: how long a job stays this owner's when nothing is heard of it.
    :param timeout: seconds after which the server cancels a chunk, which is then asked for fewer.
    :param throttles: each a reason to end here; the jobs are left for later.
    :param stop: whether to end here; asked before each chunk.
    """
    working = _Activation(
        database=database,
        trees=tuple(trees),
        owner=owner,
        budget=budget,
        size=size,
        lease=lease,
        timeout=timeout,
        throttles=tuple(throttles),
        stop=stop,
    )
    working.work()
    return working.report


class _Over(Exception):
    """The activation ends here."""


class _Refused(Exception):
    """The server refuses a step of this job, and will again."""


@define(kw_only=True, eq=False)
class _Activation:
    database: Connection[Any] | ConnectionPool[Any]
    trees: tuple[Tree, ...]
    owner: str
    budget: Budget
    size: ChunkSize
    lease: timedelta
    timeout: float
    throttles: tuple[Throttle, ...]
    stop: Callable[[], bool]
    report: Report = field(factory=Report)
    _tried: list[UUID] = field(factory=list[UUID])
    """The jobs that have had their turn."""
    _failures: int = 0
    """How often in a row a step was canceled or in conflict."""
    _began: float = field(factory=time.monotonic)

    def work(self) -> None:
        try:
            for tree in self.trees:
                self.report.jobs_refused += run(self.database, tree.jobs.unknown(tree.name))
                while jobs := run(
                    self.database, tree.jobs.waiting(tree.name, self._tried, _CLAIMED)
                ):
                    for job in jobs:
                        self._tried.append(job.id)
                        self._job(tree, job)
        except _Over:
            pass
        except (BatchError, psycopg.Error) as error:  # of a pool too; the jobs know what is done
            self._end(Stopped.FAILED, str(error))

    def _job(self, tree: Tree, job: Job) -> None:
        claimed = run(self.database, tree.jobs.claim(job, self.owner, self.lease))
        if claimed is None:
            return
        try:
            self._drain(tree, claimed)
        except LeaseLost:
            self.report.leases_lost += 1
        except _Refused as refused:
            # Somebody has to look at it; meanwhile it is in no other job's way.
            self._end(Stopped.FAILED, str(refused))
            self._leave(tree, claimed, str(refused))
        except (_Over, BatchError, psycopg.Error):
            self._leave(tree, claimed, None)
            raise

    def _leave(self, tree: Tree, job: Job, why: str | None) -> None:
        """Defer a job. Should this fail, the lease ends by itself."""
        self.report.jobs_deferred += 1
        with suppress(psycopg.Error):
            attempt(self.database, tree.jobs.leave(job, why))

    def _drain(self, tree: Tree, job: Job) -> None:
        if not 0 <= job.child <= len(tree.drains):
            message = f"the job is of another tree {tree.name!r}: of more kinds of children"
            raise _Refused(message)
        pace, self._failures = self.size.begin(), 0
        while job.phase == "drain":
            self._check()
            if job.child == len(tree.drains):
                job = self._last(tree, job)
                continue
            child = job.child
            job, pace = self._chunk(tree, job, pace)
            if job.child != child:
                pace = self.size.begin()
        if job.phase == "done":
            self.report.jobs_done += 1
        else:
            self.report.jobs_stuck += 1

    def _chunk(self, tree: Tree, job: Job, pace: Pace) -> tuple[Job, Pace]:
        chunk = tree.chunk(job, pace.rows, self.lease)
        with self._connected() as connection:  # a wait for one is no chunk's time
            began = time.monotonic()
            answer = attempt(connection, chunk, timeout=self.timeout)
            elapsed = time.monotonic() - began
        if isinstance(answer, Failed):
            return self._failed(tree, job, pace, answer)
        done, self._failures = answer.value, 0
        self.report.chunks += 1
        self.report.rows += done.rows
        job = evolve(job, seq=done.seq, rows_done=done.rows_done, child=done.child)
        return evolve(job, cursor=done.cursor), pace.after(elapsed, full=done.full)

    @contextmanager
    def _connected(self) -> Generator[Connection[Any]]:
        if isinstance(self.database, psycopg.Connection):
            yield self.database
        else:
            with self.database.connection() as connection:
                yield connection

    def _failed(self, tree: Tree, job: Job, pace: Pace, failed: Failed) -> tuple[Job, Pace]:
        report, self._failures = failed.report, self._failures + 1
        if self._failures < _ATTEMPTS and isinstance(report, SerializationConflict):
            return job, pace.after_conflict()
        canceled = report.violation is not None and report.violation.sqlstate in _TIMEOUTS
        if self._failures < _ATTEMPTS and canceled:
            return job, pace.after_timeout()
        if isinstance(report, OutcomeUnknown):
            seen = self._reread(tree, job)
            if job.child < len(tree.drains):
                self.report.chunks += seen.seq - job.seq
            return seen, pace
        if isinstance(failed.error, LeaseLost):
            raise failed.error
        if report.violation is not None and report.outcome is Outcome.ROLLED_BACK:
            raise _Refused(str(report)) from failed.error
        raise report

    def _reread(self, tree: Tree, job: Job) -> Job:
        """Find out whether a step was committed whose answer was lost."""
        seen = run(self.database, tree.jobs.read(job.id))
        if seen is None or seen.epoch != job.epoch:
            raise LeaseLost
        self.report.rows += seen.rows_done - job.rows_done
        return seen

    def _last(self, tree: Tree, job: Job) -> Job:
        answer = attempt(self.database, tree.last(job), timeout=self.timeout)
        if not isinstance(answer, Failed):
            self._failures = 0
            return answer.value
        error = answer.error
        if isinstance(error, LateRows):
            self.report.late_rows += 1
            passes = job.passes + 1
            again: dict[str, object] = {"child": 0, "cursor": None, "passes": passes}
            if passes > _PASSES:
                again |= _stuck(
                    f"children keep coming behind the fence: {error.table}, {error.key}"
                )
            return run(self.database, tree.jobs.step(job, again))
        if isinstance(error, FenceMoved):
            moved = _stuck("the parent is no longer as it was fenced")
            return run(self.database, tree.jobs.step(job, moved))
        return self._failed(tree, job, self.size.begin(), answer)[0]

    def _check(self) -> None:
        """End here when there is a reason to."""
        if self.stop():
            self._end(Stopped.ASKED)
        elif self.report.chunks >= self.budget.chunks:
            self._end(Stopped.CHUNKS)
        elif self.report.rows >= self.budget.rows:
            self._end(Stopped.ROWS)
        elif time.monotonic() - self._began >= self.budget.seconds:
            self._end(Stopped.SECONDS)
        else:
            reason = next(filter(None, (throttle() for throttle in self.throttles)), None)
            if reason is None:
                return
            self._end(Stopped.THROTTLED, reason)
        raise _Over

    def _end(self, stopped: Stopped, why: str = "") -> None:
        self.report.stopped, self.report.why = stopped, why


def _stuck(why: str) -> dict[str, object]:
    return {"phase": "stuck", "lease_until": None, "last_error": why}
