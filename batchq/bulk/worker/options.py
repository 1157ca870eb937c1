# SPDX-License-Identifier: MIT
"""What an activation is told: how much it may do, how fast, who listens, and when to stop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol, Required, TypedDict

from attrs import field, frozen

from batchq.bulk.chunks.chunk import Chunk
from batchq.bulk.chunks.order_key import OrderKey
from batchq.bulk.job import Job
from batchq.bulk.jobs import Jobs
from batchq.bulk.progress.events import Observer
from batchq.bulk.worker.budget import Budget
from batchq.bulk.worker.chunk_size import ChunkSize
from batchq.language.batch import Batch
from batchq.language.statement import Statement
from batchq.running.request import check_options

if TYPE_CHECKING:
    from collections.abc import Sequence

Throttle = Callable[[], str | Awaitable[str | None] | None]
"""Asked before each chunk, outside any transaction: a reason to wait, or None. With
:func:`~batchq.bulk.aresume` it may be a coroutine function."""


class Task(Protocol):
    """What jobs are about: a :class:`DeleteTree` or a :class:`Backfill`."""

    @property
    def name(self) -> str:
        """What its jobs are called."""
        ...

    @property
    def jobs(self) -> Jobs:
        """Where its jobs are."""
        ...

    @property
    def stages(self) -> Sequence[Sweep]:
        """What is swept, in this order."""
        ...

    def chunk(
        self, job: Job, rows: int, lease: timedelta, *, skip_locked: bool = False
    ) -> Statement[Chunk]:
        """The next chunk of a job; one that goes around rows that others have locked, or waits."""
        ...

    def finish(self, job: Job) -> Batch[Job]:
        """What ends a job, or begins it again."""
        ...


class Sweep(Protocol):
    """One of the passes over a table."""

    @property
    def order_key(self) -> OrderKey:
        """By what the rows are swept."""
        ...

    @property
    def table(self) -> str:
        """Which."""
        ...

    def estimate(self, root: object) -> Batch[int]:
        """The planner's guess of how many rows will go."""
        ...


class Options(TypedDict, total=False):
    """What :func:`~batchq.bulk.resume` and :func:`~batchq.bulk.aresume` are told."""

    owner: Required[str]
    """Who this is, for people who look at the table of jobs."""
    budget: Budget
    """How much this activation may do."""
    chunk_size: ChunkSize
    """What the size of chunks is steered by."""
    lease: timedelta
    """How long a job stays this owner's when nothing is heard of it; longer than ``timeout``."""
    timeout: float
    """Seconds after which the server cancels a chunk, which is then asked for fewer rows."""
    throttles: Iterable[Throttle]
    """Each a reason to end here; the jobs are left for later."""
    stop: Callable[[], bool]
    """Whether to end here; asked before each chunk."""
    pause_ratio: float
    """Seconds of rest after each second that a chunk took; no transaction is open meanwhile."""
    observers: Iterable[Observer]
    """Who is told of it."""


_KNOWN = frozenset(Options.__annotations__)
_REQUIRED = frozenset({"owner"})


def _throttles(throttles: Iterable[Throttle]) -> tuple[Throttle, ...]:
    return tuple(throttles)


def _observers(observers: Iterable[Observer]) -> tuple[Observer, ...]:
    return tuple(observers)


@frozen(kw_only=True)
class WorkerOptions:
    """The options, complete and checked.

    :raises ValueError: for what cannot be meant, before anything is claimed.
    """

    owner: str
    budget: Budget = field(factory=Budget)
    chunk_size: ChunkSize = field(factory=ChunkSize)
    lease: timedelta = timedelta(seconds=30)
    timeout: float = 5.0
    throttles: tuple[Throttle, ...] = field(default=(), converter=_throttles)
    stop: Callable[[], bool] = lambda: False
    pause_ratio: float = 0.0
    observers: tuple[Observer, ...] = field(default=(), converter=_observers)

    def __attrs_post_init__(self) -> None:
        if not self.owner:
            raise ValueError("resume(owner=''): say who this is, for people who look at the jobs")
        if not 0 < self.timeout < self.lease.total_seconds():
            raise ValueError(
                f"resume(timeout={self.timeout!r}, lease={self.lease!r}): a chunk may last for the "
                f"timeout, in seconds and more than 0, and the lease has to be longer"
            )
        if self.pause_ratio < 0:
            raise ValueError(
                f"resume(pause_ratio={self.pause_ratio!r}): seconds of rest for each of work"
            )


def worker_options(call: str, options: Options) -> WorkerOptions:
    """Read the options of a call.

    :raises TypeError: for one that there is not, and without those that have to be said.
    """
    check_options(call, options, _KNOWN, _REQUIRED)
    return WorkerOptions(**options)
