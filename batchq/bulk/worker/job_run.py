# SPDX-License-Identifier: MIT
"""A job's turn: its chunks, its end, and what is done about each failure."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from datetime import timedelta

import psycopg
from attrs import define, evolve, field

from batchq.bulk.errors import FenceMoved, LateRows, LeaseLost
from batchq.bulk.job import Job
from batchq.bulk.progress.events import Event, Progress
from batchq.bulk.progress.report import Stopped
from batchq.bulk.worker import failures
from batchq.bulk.worker.chunk_size import Pace
from batchq.bulk.worker.compatibility import of_another_program
from batchq.bulk.worker.context import Course
from batchq.bulk.worker.locked_rows import Around
from batchq.bulk.worker.options import Work
from batchq.bulk.worker.requests import Ask, Rest, Steps, Told
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
class Turn:
    """One job in the hands of its owner."""

    course: Course
    work: Work
    job: Job
    _claimed: int = field(init=False)
    """How many steps the job had then."""
    _pace: Pace = field(init=False)
    _failures: int = 0
    """How often in a row a step was canceled or in conflict."""
    _around: Around = field(factory=Around)
    _began: float = field(factory=time.monotonic)
    _rows: int = 0
    _taken: int = 0
    """Rows that this sweep took; a pass may have found others, which a trigger has kept."""

    def __attrs_post_init__(self) -> None:
        self._pace = self.course.orders.size.begin()
        self._claimed = self.job.seq

    def take(self) -> Steps[None]:
        """Go on with the job until it ends or the activation does."""
        report = self.course.report
        try:
            yield from self._drain()
        except LeaseLost:
            report.leases_lost += 1
            self._tell(Event.LEASE_LOST)
        except _Held as held:
            yield from self._leave(str(held), why=str(held))
        except _Refused as refused:
            # Somebody has to look at it; meanwhile it is in no other job's way.
            self.course.end(Stopped.FAILED, str(refused))
            yield from self._leave(str(refused), why=str(refused))
        except Exception as error:  # it is over, or broken, or a watcher's: the job is free
            if self.job.phase == "drain":
                yield from self._leave(None, why=failures.told(error))
            raise

    def _leave(self, last_error: str | None, *, why: str) -> Steps[None]:
        """Defer the job. Should this fail, the lease ends by itself.

        What went wrong before is over once something was done, and stays to be read until then.
        """
        if self.job.seq == self._claimed:
            last_error = last_error or self.job.last_error
        self.course.report.jobs_deferred += 1
        with suppress(BatchError, psycopg.Error):
            yield from self.course.ask(self.work.jobs.leave(self.job, last_error))
        self._tell(Event.DEFERRED, why=why)

    def _drain(self) -> Steps[None]:
        passes, report = self.work.passes, self.course.report
        self._tell(Event.CLAIMED)
        if (why := of_another_program(self.work, self.job, self._way_on)) is not None:
            yield from self._stick(why)
        while self.job.phase == "drain":
            yield from self.course.check(self._progress(Event.THROTTLED))
            if self.job.child < len(passes):
                yield from self._chunk()
            elif self.job.passed_over:
                yield from self._come_back()
            else:
                yield from self._last()
        if self.job.phase == "done":
            report.jobs_done += 1
            self._tell(Event.DONE)
        else:
            report.jobs_stuck += 1
            self._tell(Event.STUCK, why=self.job.last_error or "")

    @property
    def _way_on(self) -> str:
        return f"jobs.retry(UUID({str(self.job.id)!r})) begins it again, from the start"

    def _chunk(self) -> Steps[None]:
        table, course, asked = self._swept, self.course, self._pace.rows
        lease, around = course.orders.lease, self._around.next
        chunk = self.work.chunk(self.job, asked, lease, around=around)
        told: Told = yield Ask(chunk, course.orders.timeout)
        if isinstance(told.answer, Failed):
            if failures.sqlstate_of(told.answer) in failures.TIMEOUTS:
                self._around.canceled(asked)
            yield from self._failed(told.answer)
            return
        done, self._failures = told.answer.value, 0
        pace = self._pace.after(told.elapsed, full=done.full)
        self._pace = pace if done.child == self.job.child else course.orders.size.begin()
        self.job = evolve(
            self.job,
            seq=done.seq,
            rows_done=done.rows_done,
            rows_pass=done.rows_pass,
            child=done.child,
            cursor=done.cursor,
            cursor_of=done.cursor_of,
            passed_over=self.job.passed_over or done.passed,
        )
        self._around.took(table, asked, passed=done.passed)
        course.report.passed_over += done.passed
        self._count(table, chunks=1, rows=done.rows)
        why, elapsed = _PASSED_OVER if done.passed else "", told.elapsed
        self._tell(Event.CHUNK, table=table, rows=done.rows, elapsed=elapsed, why=why)
        if course.orders.rest:
            yield Rest(course.orders.rest * told.elapsed)

    def _come_back(self) -> Steps[None]:
        """Begin the sweep again for rows that it has passed over.

        :raises _Held: when it took no others: they are left to the next activation.
        """
        taken, held, self._taken = self._taken, self._around.end(), 0
        self.job = yield from self.course.ask(self.work.jobs.once_more(self.job))
        self._pace = self.course.orders.size.begin()
        if not taken and held is not None:
            raise _Held(held)

    def _last(self) -> Steps[None]:
        # It looks at all that is left of the deleted rows, so each attempt has more time.
        told: Told = yield Ask(self.work.last(self.job), self._patience())
        if not isinstance(told.answer, Failed):
            self.job, self._failures = told.answer.value, 0
            return
        error = told.answer.error
        if isinstance(error, LateRows):
            self.course.report.late_rows += 1
            yield from self._again(
                f"children are left: {error.table}, {error.key}; they keep coming behind the "
                f"fence, or a trigger, a rule or a policy keeps them"
            )
        else:
            yield from self._failed(told.answer)

    def _patience(self) -> float:
        """Seconds that the end may take."""
        return self.course.orders.timeout * float(2**self._failures)

    def _again(self, why: str) -> Steps[None]:
        self._tell(Event.LATE, why=why)
        self._around.end()
        self._taken = 0
        self.job = yield from self.course.ask(self.work.jobs.again(self.job, why))

    def _failed(self, failed: Failed) -> Steps[None]:
        """Find out what is to be done about a step that failed."""
        report, violation = failed.report, failed.report.violation
        self._failures += 1
        state = failures.sqlstate_of(failed)
        conflict, canceled = failures.is_conflict(failed), state in failures.TIMEOUTS
        if self._failures < _ATTEMPTS and (conflict or canceled):
            self._pace = self._pace.after_conflict() if conflict else self._pace.after_timeout()
            self.course.report.retries += 1
            self._tell(Event.RETRIED, why=failures.told(report))
            if conflict:
                most = _BACK_OFF * 2 ** (self._failures - 1)
                yield Rest(random.uniform(0, most))  # noqa: S311  not a secret
            # The lease was of the last step that was committed, and may end before the next one is.
            longer = self.course.orders.lease + timedelta(seconds=self._patience())
            yield from self.course.ask(self.work.jobs.keep(self.job, longer))
        elif isinstance(report, OutcomeUnknown):
            yield from self._reread(report)
        elif isinstance(failed.error, LeaseLost):
            raise failed.error
        elif isinstance(failed.error, FenceMoved):
            yield from self._moved(failed.error)
        elif (why := failures.for_people(failed, self._way_on)) is not None:
            yield from self._stick(why)
        elif violation is None or report.outcome is not Outcome.ROLLED_BACK:
            raise report
        elif state.startswith(failures.INTEGRITY) and self.job.passed_over:
            yield from self._come_back()  # what was passed over may refer to it
        elif state.startswith(failures.INTEGRITY):
            yield from self._again(failures.refusal(violation))
        else:
            # It may be the place that it has come to, which is read as of what is there now.
            place = "" if self.job.cursor is None else f"\n{self._way_on}"
            raise _Refused(f"{failures.told(report)}{place}") from failed.error

    def _moved(self, moved: FenceMoved) -> Steps[None]:
        """Find out how the parent has changed, which is for people to judge."""
        told: Told = yield Ask(moved.look, self.course.orders.timeout)
        if isinstance(told.answer, Failed):
            yield from self._failed(told.answer)
        else:
            yield from self._stick(told.answer.value)

    def _stick(self, why: str) -> Steps[None]:
        self.job = yield from self.course.ask(self.work.jobs.stick(self.job, why))

    def _reread(self, lost: OutcomeUnknown) -> Steps[None]:
        """Find out whether a step was committed whose answer was lost.

        :raises OutcomeUnknown: where that cannot be had now; whoever claims the job next goes on
            from what it says.
        """
        try:
            seen = yield from self.course.ask(self.work.jobs.read(self.job.id))
        except BatchError as error:
            raise lost from error
        if seen is None or seen.epoch != self.job.epoch:
            raise LeaseLost
        table, before, self.job = self._table(), self.job, seen
        if seen.child != before.child:
            self._pace = self.course.orders.size.begin()
        if table is not None and seen.seq != before.seq:
            rows = seen.rows_done - before.rows_done
            self._count(table, chunks=1, rows=rows)
            self._tell(Event.CHUNK, table=table, rows=rows)

    def _table(self) -> str | None:
        return self._swept if self.job.child < len(self.work.passes) else None

    @property
    def _swept(self) -> str:
        return self.work.passes[self.job.child].table

    def _count(self, table: str | None, *, chunks: int, rows: int) -> None:
        report = self.course.report
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
        why: str = "",
        table: str | None = None,
        rows: int = 0,
        elapsed: float = 0.0,
    ) -> None:
        progress = self._progress(event)
        table = table or progress.table
        told = evolve(progress, why=why, table=table, rows=rows, elapsed=elapsed)
        self.course.tell(told)

    def _progress(self, event: Event) -> Progress:
        job, taken = self.job, time.monotonic() - self._began
        return Progress(
            event=event,
            job=job.id,
            tree=job.tree,
            root=job.root,
            table=self._table(),
            rows_done=job.rows_done,
            expected=None if job.expected is None else max(job.expected, job.rows_done),
            chunk_size=self._pace.rows,
            rate=self._rows / taken if self._rows and taken else None,
        )
