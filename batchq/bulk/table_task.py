# SPDX-License-Identifier: MIT
"""What a :class:`Backfill` and a :class:`DeleteRows` share: one scan over one table, no parent.

There is no fence, so rows may be inserted or become due at any time. The condition is judged again
in the statement that changes a row, under its lock.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Self, cast
from uuid import UUID, uuid4

from attrs import evolve, field, frozen

from batchq.bulk.chunks.chunk import ChunkParts, after, chunk, ordered, within
from batchq.bulk.chunks.estimate import estimated
from batchq.bulk.chunks.order_key import FLAWS, NULLS, OrderKey, invalid_columns
from batchq.bulk.chunks.record import Chunk
from batchq.bulk.chunks.scan_order import ScanOrder
from batchq.bulk.errors import InvalidOrderKey, JobExists
from batchq.bulk.job import Job
from batchq.bulk.jobs import Jobs
from batchq.bulk.known_values import check_known
from batchq.bulk.order_columns import order_columns
from batchq.language.argument_types import checked, checked_job_id
from batchq.language.batch import Batch
from batchq.language.builders import raw_sql
from batchq.language.comparisons import Comparison, reading_of
from batchq.language.compose import gather
from batchq.language.errors import InvalidBatch
from batchq.language.local_settings import ALL_ROWS, with_settings
from batchq.language.selects import select
from batchq.language.sql_template import sql_template
from batchq.language.statement import Statement
from batchq.language.validation import is_text

if TYPE_CHECKING:
    from batchq.language.inputs import Condition, Where

_NONE = sql_template("NOT EXISTS ({rows})")
_RANGE = frozenset({"<", "<=", ">", ">="})


@frozen(kw_only=True)
class TableTask(ABC):
    """Rows of one table to change, however many there are.

    A chunk reads a number of rows in the order of a key, due or not: so the server does not search
    a large table for a few rows that are due, and no transaction takes longer because of it.
    """

    name: str
    """The task name of its job."""
    table: str
    where: Where | Callable[[datetime], Where]
    """Which rows are due; as for :func:`~batchq.update`. Or a function that returns this, called
    with the time in UTC at which the job was inserted, by the server's clock; and with the present
    time when the task is declared, to check what it returns."""
    order: tuple[str, ...] = field(default=("id",), converter=order_columns)
    """The order key: one or more columns with a unique index, such as the primary key."""
    jobs: Jobs = field(factory=Jobs)

    ROOT: ClassVar = "*"
    """Stands in a job for the parent's key."""
    IN_PLACE: ClassVar[bool]
    """Whether the changed rows stay in the table."""

    def __attrs_post_init__(self) -> None:
        """Reject a task that could not be executed."""
        call = type(self).__name__
        if not is_text(self.name):
            raise InvalidBatch(
                f"{call}(name={self.name!r:.40}): its job is found by the name; pass a non-empty "
                f"str"
            )
        checked(call, "table", self.table, str, '"widget"')
        checked(call, "jobs", self.jobs, Jobs, "Jobs()")
        try:
            mutation = self.mutation(self.where_at(datetime.now(UTC)))
        except InvalidBatch as error:
            raise InvalidBatch(f"{call}({self.name!r}): {error}") from error
        check_known(f"{call}({self.name!r})", mutation._values)

    @abstractmethod
    def mutation(self, where: Where) -> Statement[None]:
        """Change the rows that meet some conditions."""

    @abstractmethod
    def finish(self, job: Job) -> Batch[Job]:
        """End a job after its scan, or restart it."""

    def rescan(self, job: Job) -> Statement[Job]:
        """Restart a job for locked rows that were skipped."""
        return self.jobs.rescan(job)

    @property
    def stages(self) -> tuple[Self, ...]:
        """Return its only stage: the scan of its table."""
        return (self,)

    @property
    def order_columns(self) -> tuple[str, ...]:
        """Return the columns of the scan's order."""
        return self.order

    @property
    def order_key(self) -> OrderKey:
        """Return the order key."""
        return OrderKey(self.table, self.order)

    def start(self, job: UUID | None = None) -> Batch[UUID]:
        """Insert a job; an ordinary batch that can be composed with others.

        :param job: its id, to be chosen by the caller.
        :raises InvalidBatch: if ``job`` is not a UUID.
        :raises JobExists: by the server, if there is an unfinished one of this name.
        """
        job = uuid4() if job is None else checked_job_id("start", job)
        return self.jobs.create(job, self.name, self.ROOT, JobExists(self.name)).map(lambda _: job)

    def chunk(
        self, job: Job, rows: int, lease: timedelta, *, skip_locked: bool = False
    ) -> Statement[Chunk]:
        """Change the rows that are due among the next rows, and record them in the job.

        :param skip_locked: skip rows that other transactions have locked, instead of waiting.
        """
        due = self._due(job.created_at)
        further = [] if job.cursor is None else [after(self.order, job.cursor)]
        among = [*self._range(due), *further]
        rows_after = select(self.table, self.order, where=among or raw_sql("true"))
        parts = ChunkParts(
            table=self.table,
            page=ordered(rows_after, self.order, rows),
            where=(*within(self.order, job.cursor), *due),
            mutation=self.mutation,
            order=self.order,
            counts=True,
            in_place=self.IN_PLACE,
        )
        return chunk(parts, job, self.jobs.table, rows, lease, skip_locked=skip_locked)

    def estimate(self, root: object) -> Batch[int]:  # noqa: ARG002  there is only one
        """Return the planner's estimate of how many rows are due."""
        return estimated(self.due_now())

    def due_now(self) -> Statement[None]:
        """Select the keys of the rows that would be due for a job that is inserted now."""
        return select(self.table, self.order, where=self.where_at(datetime.now(UTC)))

    @abstractmethod
    def scan_order(self, root: object) -> Batch[ScanOrder] | None:
        """Choose the order of the scan; None if it can only be that of the key."""

    def where_at(self, start: datetime) -> Where:
        """Return which rows are due for a job that was inserted at a time.

        :raises InvalidBatch: if the function fails, or returns no condition.
        """
        if not callable(self.where):
            return self.where
        try:
            where = cast("object", self.where(start.astimezone(UTC)))
        except Exception as error:
            raise InvalidBatch(f"where=: the function raised {type(error).__name__}") from error
        if where is None or (isinstance(where, Mapping | list | tuple) and not where):
            raise InvalidBatch(f"where=: the function returned {where!r:.40}, not a condition")
        return cast("Where", where)

    def _due(self, start: datetime) -> list[Condition]:
        where = self.where_at(start)
        if isinstance(where, list | tuple):
            return list(cast("Sequence[Condition]", where))
        return [cast("Condition", where)]

    def _range(self, due: list[Condition]) -> list[Condition]:
        """Return what the conditions say of the first column of the order, if that is a range.

        A page is limited to it, and so no row outside it is read.
        """
        first = self.order[0]
        mappings = (condition for condition in due if isinstance(condition, Mapping))
        return [{first: one[first]} for one in mappings if first in one and _is_range(one[first])]

    def _checked(self, end: Statement[Job]) -> Statement[Job]:
        """Check at the end of a job that no row was left out for a NULL in its order key."""
        for name in self.order:
            none = _NONE.fill(rows=invalid_columns(evolve(self.order_key, columns=(name,))))
            invalid = InvalidOrderKey(self.order_key.describe(name, FLAWS[NULLS]))
            end = end.require(none, raises=invalid)
        return end

    def _seeing_all(self, end: Statement[Job]) -> Batch[Job]:
        """Fail if a policy hides rows from this role: the job might end without them."""
        visible = select(self.table, self.order, where=raw_sql("false")).label(self.table)
        return gather(with_settings(ALL_ROWS, visible), end).map(_second)


def _is_range(value: object) -> bool:
    if isinstance(value, Comparison):
        return all(operator in _RANGE for operator, _ in value.tests)
    return reading_of(type(value)) is None  # type: ignore[arg-type]  # is hashable


def _second(results: tuple[object, Job]) -> Job:
    return results[1]
