# SPDX-License-Identifier: MIT
"""The options of a worker, and the tasks that it can run.

The options are there twice, because a type checker takes the keywords of a function from a
TypedDict, and defaults and checks need a class: :class:`ResumeOptions` has their types,
:class:`WorkerOptions` the rest.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from math import inf
from typing import (
    TYPE_CHECKING,
    Any,
    Protocol,
    Required,
    TypedDict,
    TypeVar,
    cast,
    runtime_checkable,
)

from attrs import field, frozen

from batchq.bulk.chunks.order_key import OrderKey
from batchq.bulk.chunks.record import Chunk
from batchq.bulk.chunks.scan_order import ScanOrder
from batchq.bulk.job import Job
from batchq.bulk.jobs import Jobs
from batchq.bulk.progress.events import Observer
from batchq.bulk.worker.budget import Budget
from batchq.bulk.worker.chunk_size import ChunkSize
from batchq.language.argument_types import NUMBER, items_of, of
from batchq.language.batch import Batch
from batchq.language.spelling import with_article
from batchq.language.statement import Statement
from batchq.running.request import check_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from attrs import Attribute

F = TypeVar("F")

Throttle = Callable[[], str | Awaitable[str | None] | None]
"""Called before each chunk, outside any transaction; returns a reason to stop, or None. With
:func:`~batchq.bulk.aresume` it may be a coroutine function."""


@runtime_checkable
class Task(Protocol):
    """What jobs are about: a :class:`DeleteTree`, :class:`Backfill` or :class:`DeleteRows`."""

    @property
    def name(self) -> str:
        """Return the task name of its jobs."""
        ...

    @property
    def jobs(self) -> Jobs:
        """Return its job table."""
        ...

    @property
    def stages(self) -> Sequence[TaskStage]:
        """Return its stages, in order."""
        ...

    def chunk(
        self, job: Job, rows: int, lease: timedelta, *, skip_locked: bool = False
    ) -> Statement[Chunk]:
        """Return the next chunk of a job."""
        ...

    def finish(self, job: Job) -> Batch[Job]:
        """Return what ends a job after its last stage, or restarts it."""
        ...

    def rescan(self, job: Job) -> Statement[Job]:
        """Return what restarts a job for locked rows that were skipped."""
        ...


class TaskStage(Protocol):
    """One scan over a table."""

    @property
    def order_key(self) -> OrderKey:
        """Return the order of the scan."""
        ...

    @property
    def table(self) -> str:
        """Return the table."""
        ...

    def estimate(self, root: object) -> Batch[int]:
        """Return the planner's estimate of how many rows this stage will finish."""
        ...

    def scan_order(self, root: object) -> Batch[ScanOrder] | None:
        """Choose the order of the scan; None if it can only be that of the key."""
        ...


class ResumeOptions(TypedDict, total=False):
    """The keywords of :func:`~batchq.bulk.resume`; see :class:`WorkerOptions`."""

    owner: Required[str]
    budget: Budget
    chunk_size: ChunkSize
    lease: timedelta
    timeout: float
    throttles: Iterable[Throttle]
    stop: Callable[[], bool]
    pause_ratio: float
    observers: Iterable[Observer]


_KNOWN = frozenset(ResumeOptions.__annotations__)
_REQUIRED = frozenset({"owner"})


def _throttles(throttles: Iterable[Throttle]) -> tuple[Throttle, ...]:
    return _functions("throttles", throttles)


def _observers(observers: Iterable[Observer]) -> tuple[Observer, ...]:
    return _functions("observers", observers)


def _functions(name: str, functions: Iterable[F]) -> tuple[F, ...]:
    found = items_of(functions)
    if found is None or not all(map(callable, found)):
        raise _wrong(name, functions, f"a list of functions; write {name}=[…]")
    return found


def _wrong(name: str, value: object, wanted: str) -> TypeError:
    return TypeError(f"resume({name}={value!r:.60}): it must be {wanted}")


def _of(
    kind: type[object] | tuple[type[object], ...], example: str
) -> Callable[[object, Attribute[Any], Any], None]:
    """Return a validator for an option of one type."""
    return of("resume", kind, example, TypeError)


def _function(_: object, attribute: Attribute[Any], value: object) -> None:
    if not callable(value):
        raise _wrong(
            attribute.name, value, f"a function that returns True to stop; write {_STOP_EXAMPLE}"
        )


_STOP_EXAMPLE = "stop=event.is_set"


@frozen(kw_only=True)
class WorkerOptions:
    """The options of a worker.

    :raises TypeError: for a value of another type, before any job is claimed.
    :raises ValueError: for values that make no sense, before any job is claimed.
    """

    owner: str = field(validator=_of(str, '"cron"'))
    """The name of the worker in the job table, for people who read it."""
    budget: Budget = field(factory=Budget, validator=_of(Budget, "Budget(seconds=…)"))
    """How much the worker may do."""
    chunk_size: ChunkSize = field(
        factory=ChunkSize, validator=_of(ChunkSize, "ChunkSize(initial=…)")
    )
    """How the number of rows of a chunk is controlled."""
    lease: timedelta = field(
        default=timedelta(seconds=30), validator=_of(timedelta, "timedelta(seconds=…)")
    )
    """How long a job stays this worker's after its last step; longer than ``timeout``."""
    timeout: float = field(default=5.0, validator=_of(NUMBER, "5.0"))
    """Seconds after which a chunk is canceled and sent again for fewer rows."""
    throttles: tuple[Throttle, ...] = field(default=(), converter=_throttles)
    """Each may return a reason to stop; the jobs are left for later."""
    stop: Callable[[], bool] = field(default=lambda: False, validator=_function)
    """Called before each chunk; True stops the worker."""
    pause_ratio: float = field(default=0.0, validator=_of(NUMBER, "1.0"))
    """Seconds to sleep for each second that a chunk took; no transaction is open meanwhile."""
    observers: tuple[Observer, ...] = field(default=(), converter=_observers)
    """Called with a :class:`Progress` for each event, and with the :class:`Report` at the end."""

    def __attrs_post_init__(self) -> None:
        if not self.owner:
            raise ValueError(
                "resume(owner=''): the name of the worker is empty; pass one that people who read "
                "the job table recognize"
            )
        if not 0 < self.timeout < self.lease.total_seconds():
            raise ValueError(
                f"resume(timeout={self.timeout!r}, lease={self.lease!r}): the timeout must be more "
                f"than 0 seconds, and the lease longer than the timeout"
            )
        if not 0 <= self.pause_ratio < inf:
            raise ValueError(
                f"resume(pause_ratio={self.pause_ratio!r}): it must be at least 0, the seconds to "
                f"sleep for each second that a chunk took"
            )


def worker_options(call: str, options: ResumeOptions) -> WorkerOptions:
    """Check the options of a call and add the defaults.

    :raises TypeError: for an unknown option, or without a required one.
    """
    check_options(call, options, _KNOWN, _REQUIRED)
    return WorkerOptions(**options)


def worker_tasks(call: str, tasks: Iterable[Task]) -> tuple[Task, ...]:
    """Check the tasks of a call.

    :raises TypeError: if they are not a list, or one of them is not a task.
    """
    found = items_of(tasks)
    if found is None:
        given = with_article(type(tasks))
        example = "[task]" if isinstance(tasks, Task) else "[TREE, BACKFILL]"
        raise TypeError(f"{call} takes a list of tasks, not {given}; write {example}")
    if wrong := [task for task in found if not isinstance(task, Task)]:
        given = with_article(type(cast("object", wrong[0])))
        raise TypeError(
            f"{call} takes a list of DeleteTree, Backfill and DeleteRows objects, not of {given}"
        )
    return found
