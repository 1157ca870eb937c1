# SPDX-License-Identifier: MIT
"""One run of a job by a worker: its chunks, its end, and what happens after each failure."""

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
from batchq.bulk.worker.compatibility import incompatible
from batchq.bulk.worker.context import RunContext
from batchq.bulk.worker.locked_rows import LockedRows
from batchq.bulk.worker.options import Task
from batchq.bulk.worker.order_choice import choose_order
from batchq.bulk.worker.requests import BatchDone, Requests, RunBatch, Sleep
from batchq.engine.result import Failed
from batchq.language.errors import BatchError, InvalidBatch, OutcomeUnknown
from batchq.language.outcome import Outcome

_ATTEMPTS = 6
"""How often in a row a step may time out or conflict; each attempt asks for fewer rows."""
_BACKOFF = 0.05
"""Seconds: the longest sleep after a first conflict, doubled after each further one. The sleep is a
random part of it, so that two workers do not collide again."""
_SKIPPED = "rows that other transactions have locked were skipped"


class _Rejected(Exception):
    """A step of this job is rejected by the server, or cannot be sent, and will be so again."""


class _OnlyLockedRows(Exception):
    """All rows that are left of this job are locked by other transactions."""


@define(kw_only=True, eq=False)
class JobRun:
    """One run of a job."""

    context: RunContext
    task: Task
    job: Job
    _claimed_seq: int = field(init=False)
    """The job's ``seq`` when it was claimed."""
    _sizer: ChunkSizer = field(init=False)
    _failures: int = 0
    """How often in a row a step has timed out or conflicted."""
    _locked: LockedRows = field(factory=LockedRows)
    _started: float = field(factory=time.monotonic)
    _rows: int = 0
    _scan_rows: int = 0
    """Rows that this scan has finished; ``job.scan_rows`` may count a row that a trigger keeps."""

    def __attrs_post_init__(self) -> None:
        self._sizer = self.context.options.chunk_size.sizer()
        self._claimed_seq = self.job.seq

    def run(self) -> Requests[None]:
        """Run the job until it ends or the worker stops."""
        report = self.context.report
        try:
            yield from self._run_steps()
        except LeaseLost:
            report.leases_lost += 1
            self._notify(Event.LEASE_LOST)
        except _OnlyLockedRows as locked:
            yield from self._release(str(locked), detail=str(locked))
        except (_Rejected, InvalidBatch) as rejected:
            # A person has to look at it. It must not be in the way of other jobs.
            self.context.set_stop_reason(StopReason.FAILED, str(rejected))
            yield from self._release(str(rejected), detail=str(rejected))
        except Exception as error:  # the worker stops, the connection failed, an observer raised
            if self.job.phase == "active":
                yield from self._release(None, detail=failures.first_line(error))
            raise

    def _release(self, last_error: str | None, *, detail: str) -> Requests[None]:
        """Release the job for the next worker. If this fails, the lease expires.

        An earlier ``last_error`` is kept until a step of the job was committed.
        """
        if self.job.seq == self._claimed_seq:
            last_error = last_error or self.job.last_error
        self.context.report.jobs_released += 1
        with suppress(BatchError, psycopg.Error):
            yield from self.context.run(self.task.jobs.release(self.job, last_error))
        self._notify(Event.RELEASED, detail=detail)

    def _run_steps(self) -> Requests[None]:
        stages, report = self.task.stages, self.context.report
        self._notify(Event.CLAIMED)
        if (detail := incompatible(self.task, self.job, self._remedy)) is not None:
            yield from self._mark_stuck(detail)
        while self.job.phase == "active":
            yield from self.context.check_limits(self._progress(Event.THROTTLED))
            if self.job.stage < len(stages):
                self.job = yield from choose_order(self.context, self.task, self.job)
                yield from self._chunk()
            elif self.job.skipped_locked:
                yield from self._rescan()
            else:
                yield from self._finish()
        if self.job.phase == "done":
            report.jobs_done += 1
            self._notify(Event.DONE)
        else:
            report.jobs_stuck += 1
            self._notify(Event.STUCK, detail=self.job.last_error or "")

    @property
    def _remedy(self) -> str:
        return f"jobs.retry(UUID({str(self.job.id)!r})) restarts it from the first stage"

    def _chunk(self) -> Requests[None]:
        table, options, rows = self._stage_table, self.context.options, self._sizer.rows
        chunk = self.task.chunk(self.job, rows, options.lease, skip_locked=self._locked.skip)
        done: BatchDone = yield RunBatch(chunk, options.timeout)
        if isinstance(done.result, Failed):
            if failures.sqlstate_of(done.result) in failures.TIMEOUTS:
                self._locked.canceled(rows)
            yield from self._handle_failure(done.result)
            return
        result, self._failures = done.result.value, 0
        sizer = self._sizer.after(done.elapsed, full=result.full)
        self._sizer = sizer if result.stage == self.job.stage else options.chunk_size.sizer()
        self.job = evolve(
            self.job,
            seq=result.seq,
            rows_done=result.rows_done,
            scan_rows=result.scan_rows,
            stage=result.stage,
            cursor=result.cursor,
            cursor_key=result.cursor_key,
            skipped_locked=self.job.skipped_locked or result.skipped,
        )
        self._locked.committed(table, rows, skipped=result.skipped)
        self.context.report.skipped_locked += result.skipped
        self._count(table, chunks=1, rows=result.rows)
        detail, elapsed = _SKIPPED if result.skipped else "", done.elapsed
        self._notify(Event.CHUNK, table=table, rows=result.rows, elapsed=elapsed, detail=detail)
        if options.pause_ratio:
            yield Sleep(options.pause_ratio * elapsed)

    def _rescan(self) -> Requests[None]:
        """Restart the job for the locked rows that it has skipped.

        :raises _OnlyLockedRows: if the scan has finished no other row; the next worker tries again.
        """
        rows, detail, self._scan_rows = self._scan_rows, self._locked.end_scan(), 0
        self.job = yield from self.context.run(self.task.rescan(self.job))
        self._sizer = self.context.options.chunk_size.sizer()
        if not rows and detail is not None:
            raise _OnlyLockedRows(detail)

    def _finish(self) -> Requests[None]:
        # It reads all that is left of the deleted rows, so each attempt has more time.
        done: BatchDone = yield RunBatch(self.task.finish(self.job), self._finish_timeout())
        if not isinstance(done.result, Failed):
            self.job, self._failures = done.result.value, 0
            return
        error = done.result.error
        if isinstance(error, RowsAfterFence):
            self.context.report.rows_after_fence += 1
            yield from self._restart(
                f"children are left: {error.table}, {error.key}; they keep being inserted after "
                f"the fence, or a trigger, a rule or a policy keeps them"
            )
        else:
            yield from self._handle_failure(done.result)

    def _finish_timeout(self) -> float:
        """Return the seconds that the end of the job may take."""
        return self.context.options.timeout * float(2**self._failures)

    def _restart(self, detail: str) -> Requests[None]:
        self._notify(Event.RESTARTED, detail=detail)
        self._locked.end_scan()
        self._scan_rows = 0
        self.job = yield from self.context.run(self.task.jobs.restart(self.job, detail))

    def _handle_failure(self, failed: Failed) -> Requests[None]:
        """Retry a failed step, restart the job, mark it as stuck, or stop."""
        error, violation = failed.report, failed.report.violation
        self._failures += 1
        state = failures.sqlstate_of(failed)
        conflict, canceled = failures.is_conflict(failed), state in failures.TIMEOUTS
        if self._failures < _ATTEMPTS and (conflict or canceled):
            yield from self._prepare_retry(error, conflict=conflict)
        elif isinstance(error, OutcomeUnknown):
            yield from self._reread(error)
        elif isinstance(failed.error, LeaseLost):
            raise failed.error
        elif isinstance(failed.error, FenceBroken):
            yield from self._diagnose(failed.error)
        elif (detail := failures.needs_attention(failed, self._remedy)) is not None:
            yield from self._mark_stuck(detail)
        elif violation is None or error.outcome is not Outcome.ROLLED_BACK:
            raise error
        elif state.startswith(failures.INTEGRITY) and self.job.skipped_locked:
            yield from self._rescan()  # a skipped row may refer to this one
        elif state.startswith(failures.INTEGRITY):
            yield from self._restart(failures.describe_violation(violation))
        else:
            # The cursor may be the reason: it is read as values of the columns' present types.
            remedy = "" if self.job.cursor is None else f"\n{self._remedy}"
            raise _Rejected(f"{failures.first_line(error)}{remedy}") from failed.error

    def _prepare_retry(self, error: BatchError, *, conflict: bool) -> Requests[None]:
        """Make the next chunk smaller, wait after a conflict, and renew the lease."""
        self._sizer = self._sizer.after_conflict() if conflict else self._sizer.after_timeout()
        self.context.report.retries += 1
        self._notify(Event.RETRIED, detail=failures.first_line(error))
        if conflict:
            longest = _BACKOFF * 2 ** (self._failures - 1)
            yield Sleep(random.uniform(0, longest))  # noqa: S311  not a secret
        # The lease dates from the last committed step, and may expire before the next one.
        lease = self.context.options.lease + timedelta(seconds=self._finish_timeout())
        yield from self.context.run(self.task.jobs.renew_lease(self.job, lease))

    def _diagnose(self, broken: FenceBroken) -> Requests[None]:
        """Find out how the parent was changed, and leave the decision to a person."""
        done: BatchDone = yield RunBatch(broken.diagnosis, self.context.options.timeout)
        if isinstance(done.result, Failed):
            yield from self._handle_failure(done.result)
        else:
            yield from self._mark_stuck(done.result.value)

    def _mark_stuck(self, detail: str) -> Requests[None]:
        self.job = yield from self.context.run(self.task.jobs.mark_stuck(self.job, detail))

    def _reread(self, lost: OutcomeUnknown) -> Requests[None]:
        """Find out whether a step was committed whose answer was lost.

        :raises OutcomeUnknown: if the job cannot be read now; the next worker reads it.
        """
        try:
            seen = yield from self.context.run(self.task.jobs.get(self.job.id))
        except BatchError as error:
            raise lost from error
        if seen is None or seen.epoch != self.job.epoch:
            raise LeaseLost
        table, before, self.job = self._current_table(), self.job, seen
        if seen.stage != before.stage:
            self._sizer = self.context.options.chunk_size.sizer()
        if table is not None and seen.seq != before.seq:
            rows = seen.rows_done - before.rows_done
            self._count(table, chunks=1, rows=rows)
            self._notify(Event.CHUNK, table=table, rows=rows)

    def _current_table(self) -> str | None:
        return self._stage_table if self.job.stage < len(self.task.stages) else None

    @property
    def _stage_table(self) -> str:
        return self.task.stages[self.job.stage].table

    def _count(self, table: str, *, chunks: int, rows: int) -> None:
        report = self.context.report
        report.chunks += chunks
        report.rows += rows
        self._rows += rows
        self._scan_rows += rows
        report.chunks_by_table[table] += chunks
        report.rows_by_table[table] += rows

    def _notify(
        self,
        event: Event,
        *,
        detail: str = "",
        table: str | None = None,
        rows: int = 0,
        elapsed: float = 0.0,
    ) -> None:
        progress = evolve(self._progress(event), detail=detail, rows=rows, elapsed=elapsed)
        self.context.notify(progress if table is None else evolve(progress, table=table))

    def _progress(self, event: Event) -> Progress:
        job, elapsed = self.job, time.monotonic() - self._started
        return Progress(
            event=event,
            job=job.id,
            task=job.task,
            root=job.root,
            table=self._current_table(),
            rows_done=job.rows_done,
            expected=None if job.expected is None else max(job.expected, job.rows_done),
            chunk_size=self._sizer.rows,
            rate=self._rows / elapsed if self._rows and elapsed else None,
        )
