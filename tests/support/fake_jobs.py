# SPDX-License-Identifier: MIT
"""A fake server for a worker: its requests are recorded, and its answers are scripted.

Each batch is a :class:`Wish`, which names its purpose, and a row takes a given time.
"""

# ruff: noqa: ARG002  its methods have the arguments that an activation calls them with

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple, cast
from uuid import UUID, uuid4

from attrs import define, evolve, field

import batchq
from batchq.bulk import Job
from batchq.bulk.chunks.chunk import Chunk
from batchq.bulk.errors import FenceBroken, LeaseLost
from batchq.bulk.job import QueueStats
from batchq.bulk.jobs import MAX_RESTARTS
from batchq.bulk.worker.requests import BatchDone
from batchq.result import Failed, Ok
from batchq.types import ViolationKind
from tests.support.job_rows import begun


class Wish(NamedTuple):
    """What stands where a batch would."""

    verb: str
    about: str
    job: Job | None = None
    rows: int = 0
    but: tuple[UUID, ...] = ()

    def __str__(self) -> str:
        """Show it as a test writes it."""
        return " ".join(filter(None, [self.verb, self.about, str(self.rows or "")]))


class Sweep(NamedTuple):
    """One of the tables that are swept."""

    table: str

    def estimate(self, root: str) -> batchq.Batch[int]:
        return batchq.sql("SELECT 100").scalar(int)


@define(eq=False)
class Imagined:
    """A work, its table of jobs and the server that both are on."""

    left: dict[str, list[int]]
    """Rows left, by the roots of the jobs, for each of the passes."""
    name: str = "vpc"
    cost: float = 0.0
    """Seconds for a row."""
    failing: deque[Callable[[Imagined, Wish], BatchDone | None]] = field(
        factory=deque, converter=deque
    )
    """What comes of the next chunks and last steps, instead of what should; None: what should."""
    taken: set[str] = field(factory=set)
    """Jobs that another worker always claims first."""
    deleted: Counter[str] = field(factory=Counter)
    """Deleted rows, by table."""
    stored: dict[UUID, Job] = field(init=False)

    def __attrs_post_init__(self) -> None:
        jobs = [begun(id=uuid4(), task=self.name, root=root, generation=1) for root in self.left]
        self.stored = {job.id: job for job in jobs}

    # -- the work, as an activation sees it

    @property
    def jobs(self) -> Imagined:
        return self

    @property
    def stages(self) -> list[Sweep]:
        return [Sweep(f"table{n}") for n in range(max(map(len, self.left.values()), default=0))]

    def chunk(self, job: Job, rows: int, lease: timedelta, *, skip_locked: bool = False) -> Wish:
        return Wish("chunk", job.root, job, rows)

    def finish(self, job: Job) -> Wish:
        return Wish("finish", job.root, job)

    def other_versions(self, tree: str) -> Wish:
        return Wish("other_versions", tree)

    def claimable(self, tree: str, but: list[UUID], most: int) -> Wish:
        return Wish("claimable", tree, but=tuple(but))

    def claim(self, job: Job, owner: str, lease: timedelta, expected: int | None) -> Wish:
        return Wish("claim", job.root, evolve(job, expected=expected))

    def renew_lease(self, job: Job, lease: timedelta) -> Wish:
        return Wish("renew_lease", job.root, job)

    def release(self, job: Job, detail: str | None) -> Wish:
        return Wish("release", job.root, evolve(job, last_error=detail))

    def restart(self, job: Job, detail: str) -> Wish:
        return (
            self.mark_stuck(job, detail)
            if job.restarts == MAX_RESTARTS
            else Wish("restart", job.root, job)
        )

    def mark_stuck(self, job: Job, detail: str) -> Wish:
        return Wish("mark_stuck", job.root, evolve(job, last_error=detail))

    def get(self, job: UUID) -> Wish:
        return Wish("get", self.stored[job].root, self.stored[job])

    def stats(self, tree: str) -> Wish:
        return Wish("stats", tree)

    def no_job_table(self, error: Exception) -> None:
        """No failure here is that of a missing table."""

    # -- the server

    def answer(self, wish: Wish) -> BatchDone:
        """Do what is asked, unless something else is to come of it."""
        if wish.verb in {"chunk", "finish"} and self.failing:
            received = self.failing.popleft()(self, wish)
            if received is not None:
                return received
        return BatchDone(Ok(getattr(self, f"_{wish.verb}")(wish)), self.cost * wish.rows)

    def _other_versions(self, wish: Wish) -> int:
        return 0

    def _claimable(self, wish: Wish) -> list[Job]:
        return [
            job for job in self.stored.values() if job.phase == "active" and job.id not in wish.but
        ]

    def _claim(self, wish: Wish) -> Job | None:
        job, received = self._now(wish), wish.job
        assert received
        if job.root in self.taken:
            return None
        return self._set(job, epoch=job.epoch + 1, expected=received.expected)

    def _chunk(self, wish: Wish) -> Chunk:
        job = self._now(wish)
        rows = min(wish.rows, self.left[job.root][job.stage])
        self.left[job.root][job.stage] -= rows
        self.deleted[self.stages[job.stage].table] += rows
        job = self._set(
            job,
            seq=job.seq + 1,
            rows_done=job.rows_done + rows,
            stage=job.stage + (rows < wish.rows),
        )
        return Chunk(rows, rows == wish.rows, job.seq, job.rows_done, 0, job.stage, None)

    def _finish(self, wish: Wish) -> Job:
        job = self._now(wish)
        assert sum(self.left[job.root]) == 0
        return self._set(job, seq=job.seq + 1, phase="done")

    def _restart(self, wish: Wish) -> Job:
        job = self._now(wish)
        return self._set(job, seq=job.seq + 1, stage=0, restarts=job.restarts + 1)

    def _mark_stuck(self, wish: Wish) -> Job:
        job, received = self._now(wish), wish.job
        assert received
        return self._set(job, seq=job.seq + 1, phase="stuck", last_error=received.last_error)

    def _renew_lease(self, wish: Wish) -> int:
        return 1

    def _release(self, wish: Wish) -> int:
        job, received = self._now(wish), wish.job
        assert received
        self._set(job, last_error=received.last_error)
        return 1

    def _get(self, wish: Wish) -> Job:
        return self._now(wish)

    def _diagnose(self, wish: Wish) -> str:
        return "it has changed"

    def _stats(self, wish: Wish) -> QueueStats:
        phases = Counter(job.phase for job in self.stored.values())
        age = timedelta(hours=1) if phases["active"] else None
        return QueueStats(phases["active"], 0, phases["stuck"], phases["done"], 0, 0, age)

    def _now(self, wish: Wish) -> Job:
        assert wish.job
        return self.stored[wish.job.id]

    def _set(self, job: Job, **changes: Any) -> Job:
        self.stored[job.id] = evolve(job, **changes)
        return self.stored[job.id]


# -- what may come of a step -----------------------------------------------------------------------


def fails(
    kind: type[batchq.BatchError], sqlstate: str | None = None, **texts: Any
) -> Callable[[Imagined, Wish], BatchDone]:
    """Make a step fail with nothing kept."""
    rejected = None
    if sqlstate is not None:
        rejected = batchq.Violation(kind=ViolationKind.OTHER, sqlstate=sqlstate, **texts)
    error = kind(f"made up: {sqlstate}", outcome=batchq.Outcome.ROLLED_BACK, violation=rejected)
    return lambda _server, _wish: BatchDone(Failed(error, error), 0.0)


def means(meaning: Exception) -> Callable[[Imagined, Wish], BatchDone]:
    """Make a guard of a step refuse it."""
    guarded = batchq.GuardFailed("made up", outcome=batchq.Outcome.ROLLED_BACK)
    return lambda _server, _wish: BatchDone(Failed(meaning, guarded), 0.0)


def unsent(_server: Imagined, _wish: Wish) -> BatchDone:
    """Find the link closed before anything is sent over it."""
    error = batchq.ConnectionFailed("made up", outcome=batchq.Outcome.NOT_SENT)
    return BatchDone(Failed(error, error), 0.0)


def lost(*, done: bool) -> Callable[[Imagined, Wish], BatchDone]:
    """Lose the answer to a step that was committed, or was not."""

    def lose(server: Imagined, wish: Wish) -> BatchDone:
        if done:
            getattr(server, f"_{wish.verb}")(wish)
        error = batchq.OutcomeUnknown("made up", outcome=batchq.Outcome.UNKNOWN)
        return BatchDone(Failed(error, error), 0.0)

    return lose


moved = means(FenceBroken("1", cast("batchq.Batch[str]", Wish("diagnose", "vpc"))))
"""The fence does not hold, and what is asked about it."""


def fine(_server: Imagined, _wish: Wish) -> None:
    """Let a step succeed."""


conflict = fails(batchq.SerializationConflict, "40001")
timeout = fails(batchq.UnmappedViolation, "57014")
integrity = fails(batchq.UnmappedViolation, "23503", constraint="hit_fkey")
denied = fails(batchq.UnmappedViolation, "42501")
cut = fails(batchq.ConnectionFailed)
lease_lost = means(LeaseLost())
