# SPDX-License-Identifier: MIT
"""A job's turn: its chunks, its end, and what is done about each failure."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from datetime import timedelta

import psycopg
from attrs import define, evolve, field

from batchq.bulk.errors import FenceBroken, LeaseLost, RowsAfterFence
from batchq.bulk.job import Job
from batchq.bulk.progress.events import Event, Progress
from batchq.bulk.progress.report import StopReason
from batchq.bulk.worker import failures
from batchq.bulk.worker.chunk_size import ChunkSizer
from batchq.bulk.worker.compatibility import of_another_program
from batchq.bulk.worker.context import RunContext
from batchq.bulk.worker.locked_rows import LockedRows
from batchq.bulk.worker.options import Task
from batchq.bulk.worker.requests import BatchDone, Requests, RunBatch, Sleep
from batchq.language.errors import BatchError, OutcomeUnknown
from batchq.language.outcome import Outcome
from batchq.running.result import Failed

_ATTEMPTS = 6
"""How often in a row a step may be canceled or in conflict, each time asked for fewer rows."""
_BACK_OFF = 0.05
"""Seconds: the longest wait after a first conflict, doubled with each further one. What collided
once waits for a random part of it, and does not collide again."""
_PASSED_OVER = "rows that others have locked were passed over"


class _Refused(Exception):
    """The server refuses a step of this job, and will again."""


class _Held(Exception):
    """Nothing is left of this job but what others have locked."""


@define(kw_only=True, eq=False)
class JobRun:
    """One job in the hands of its owner."""

    context: RunContext
    work: Task
    job: Job
    _claimed: int = field(init=False)
    """How many steps the job had then."""
    _pace: ChunkSizer = field(init=False)
    _failures: int = 0
    """How often in a row a step was canceled or in conflict."""
    _around: LockedRows = field(factory=LockedRows)
    _began: float = field(factory=time.monotonic)
    _rows: int = 0
    _taken: int = 0
    """Rows that this sweep took; a pass may have found others, which a trigger has kept."""

    def __attrs_post_init__(self) -> None:
        self._pace = self.context.options.chunk_size.sizer()
        self._claimed = self.job.seq

    def run(self) -> Requests[None]:
        """Go on with the job until it ends or the activation does."""
        report = self.context.report
        try:
            yield from self._drain()
        except LeaseLost:
            report.leases_lost += 1
            self._tell(Event.LEASE_LOST)
        except _Held as held:
            yield from self._leave(str(held), detail=str(held))
        except _Refused as refused:
            # Somebody has to look at it; meanwhile it is in no other job's way.
            self.context.end(StopReason.FAILED, str(refused))
            yield from self._leave(str(refused), detail=str(refused))
        except Exception as error:  # it is over, or broken, or a watcher's: the job is free
            if self.job.phase == "active":
                yield from self._leave(None, detail=failures.told(error))
            raise

    def _leave(self, last_error: str | None, *, detail: str) -> Requests[None]:
        """Defer the job. Should this fail, the lease ends by itself.

        What went wrong before is over once something was done, and stays to be read until then.
        """
        if self.job.seq == self._claimed:
            last_error = last_error or self.job.last_error
        self.context.report.jobs_released += 1
        with suppress(BatchError, psycopg.Error):
            yield from self.context.ask(self.work.jobs.release(self.job, last_error))
        self._tell(Event.RELEASED, detail=detail)

    def _drain(self) -> Requests[None]:
        stages, report = self.work.stages, self.context.report
        self._tell(Event.CLAIMED)
        if (detail := of_another_program(self.work, self.job, self._way_on)) is not None:
            yield from self._stick(detail)
        while self.job.phase == "active":
            yield from self.context.check(self._progress(Event.THROTTLED))
            if self.job.stage < len(stages):
                yield from self._chunk()
            elif self.job.skipped_locked:
                yield from self._come_back()
            else:
                yield from self._last()
        if self.job.phase == "done":
            report.jobs_done += 1
            self._tell(Event.DONE)
        else:
            report.jobs_stuck += 1
            self._tell(Event.STUCK, detail=self.job.last_error or "")

    @property
    def _way_on(self) -> str:
        return f"jobs.retry(UUID({str(self.job.id)!r})) begins it again, from the start"

    def _chunk(self) -> Requests[None]:
        table, context, asked = self._swept, self.context, self._pace.rows
        lease, around = context.options.lease, self._around.next
        chunk = self.work.chunk(self.job, asked, lease, skip_locked=around)
        told: BatchDone = yield RunBatch(chunk, context.options.timeout)
        if isinstance(told.result, Failed):
            if failures.sqlstate_of(told.result) in failures.TIMEOUTS:
                self._around.canceled(asked)
            yield from self._failed(told.result)
            return
        done, self._failures = told.result.value, 0
        pace = self._pace.after(told.elapsed, full=done.full)
        self._pace = pace if done.stage == self.job.stage else context.options.chunk_size.sizer()
        self.job = evolve(
            self.job,
            seq=done.seq,
            rows_done=done.rows_done,
            scan_rows=done.scan_rows,
            stage=done.stage,
            cursor=done.cursor,
            cursor_key=done.cursor_key,
            skipped_locked=self.job.skipped_locked or done.passed,
        )
        self._around.took(table, asked, passed=done.passed)
        context.report.skipped_locked += done.passed
        self._count(table, chunks=1, rows=done.rows)
        detail, elapsed = _PASSED_OVER if done.passed else "", told.elapsed
        self._tell(Event.CHUNK, table=table, rows=done.rows, elapsed=elapsed, detail=detail)
        if context.options.pause_ratio:
            yield Sleep(context.options.pause_ratio * told.elapsed)

    def _come_back(self) -> Requests[None]:
        """Begin the sweep again for rows that it has passed over.

        :raises _Held: when it took no others: they are left to the next activation.
        """
        taken, held, self._taken = self._taken, self._around.end(), 0
        self.job = yield from self.context.ask(self.work.jobs.rescan(self.job))
        self._pace = self.context.options.chunk_size.sizer()
        if not taken and held is not None:
            raise _Held(held)

    def _last(self) -> Requests[None]:
        # It looks at all that is left of the deleted rows, so each attempt has more time.
        told: BatchDone = yield RunBatch(self.work.finish(self.job), self._patience())
        if not isinstance(told.result, Failed):
            self.job, self._failures = told.result.value, 0
            return
        error = told.result.error
        if isinstance(error, RowsAfterFence):
            self.context.report.rows_after_fence += 1
            yield from self._again(
                f"children are left: {error.table}, {error.key}; they keep coming behind the "
                f"fence, or a trigger, a rule or a policy keeps them"
            )
        else:
            yield from self._failed(told.result)

    def _patience(self) -> float:
        """Seconds that the end may take."""
        return self.context.options.timeout * float(2**self._failures)

    def _again(self, detail: str) -> Requests[None]:
        self._tell(Event.RESTARTED, detail=detail)
        self._around.end()
        self._taken = 0
        self.job = yield from self.context.ask(self.work.jobs.restart(self.job, detail))

    def _failed(self, failed: Failed) -> Requests[None]:
        """Find out what is to be done about a step that failed."""
        report, violation = failed.report, failed.report.violation
        self._failures += 1
        state = failures.sqlstate_of(failed)
        conflict, canceled = failures.is_conflict(failed), state in failures.TIMEOUTS
        if self._failures < _ATTEMPTS and (conflict or canceled):
            self._pace = self._pace.after_conflict() if conflict else self._pace.after_timeout()
            self.context.report.retries += 1
            self._tell(Event.RETRIED, detail=failures.told(report))
            if conflict:
                most = _BACK_OFF * 2 ** (self._failures - 1)
                yield Sleep(random.uniform(0, most))  # noqa: S311  not a secret
            # The lease was of the last step that was committed, and may end before the next one is.
            longer = self.context.options.lease + timedelta(seconds=self._patience())
            yield from self.context.ask(self.work.jobs.renew_lease(self.job, longer))
        elif isinstance(report, OutcomeUnknown):
            yield from self._reread(report)
        elif isinstance(failed.error, LeaseLost):
            raise failed.error
        elif isinstance(failed.error, FenceBroken):
            yield from self._moved(failed.error)
        elif (detail := failures.for_people(failed, self._way_on)) is not None:
            yield from self._stick(detail)
        elif violation is None or report.outcome is not Outcome.ROLLED_BACK:
            raise report
        elif state.startswith(failures.INTEGRITY) and self.job.skipped_locked:
            yield from self._come_back()  # what was passed over may refer to it
        elif state.startswith(failures.INTEGRITY):
            yield from self._again(failures.refusal(violation))
        else:
            # It may be the place that it has come to, which is read as of what is there now.
            place = "" if self.job.cursor is None else f"\n{self._way_on}"
            raise _Refused(f"{failures.told(report)}{place}") from failed.error

    def _moved(self, moved: FenceBroken) -> Requests[None]:
        """Find out how the parent has changed, which is for people to judge."""
        told: BatchDone = yield RunBatch(moved.diagnosis, self.context.options.timeout)
        if isinstance(told.result, Failed):
            yield from self._failed(told.result)
        else:
            yield from self._stick(told.result.value)

    def _stick(self, detail: str) -> Requests[None]:
        self.job = yield from self.context.ask(self.work.jobs.mark_stuck(self.job, detail))

    def _reread(self, lost: OutcomeUnknown) -> Requests[None]:
        """Find out whether a step was committed whose answer was lost.

        :raises OutcomeUnknown: where that cannot be had now; whoever claims the job next goes on
            from what it says.
        """
        try:
            seen = yield from self.context.ask(self.work.jobs.get(self.job.id))
        except BatchError as error:
            raise lost from error
        if seen is None or seen.epoch != self.job.epoch:
            raise LeaseLost
        table, before, self.job = self._table(), self.job, seen
        if seen.stage != before.stage:
            self._pace = self.context.options.chunk_size.sizer()
        if table is not None and seen.seq != before.seq:
            rows = seen.rows_done - before.rows_done
            self._count(table, chunks=1, rows=rows)
            self._tell(Event.CHUNK, table=table, rows=rows)

    def _table(self) -> str | None:
        return self._swept if self.job.stage < len(self.work.stages) else None

    @property
    def _swept(self) -> str:
        return self.work.stages[self.job.stage].table

    def _count(self, table: str | None, *, chunks: int, rows: int) -> None:
        report = self.context.report
        report.chunks += chunks
        report.rows += rows
        self._rows += rows
        self._taken += rows
        if table is not None:
            report.chunks_by_table[table] += chunks
            report.rows_by_table[table] += rows

    def _tell(
        self,
        event: Event,
        *,
        detail: str = "",
        table: str | None = None,
        rows: int = 0,
        elapsed: float = 0.0,
    ) -> None:
        progress = self._progress(event)
        table = table or progress.table
        told = evolve(progress, detail=detail, table=table, rows=rows, elapsed=elapsed)
        self.context.tell(told)

    def _progress(self, event: Event) -> Progress:
        job, taken = self.job, time.monotonic() - self._began
        return Progress(
            event=event,
            job=job.id,
            task=job.task,
            root=job.root,
            table=self._table(),
            rows_done=job.rows_done,
            expected=None if job.expected is None else max(job.expected, job.rows_done),
            chunk_size=self._pace.rows,
            rate=self._rows / taken if self._rows and taken else None,
        )
