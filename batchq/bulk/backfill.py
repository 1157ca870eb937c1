# SPDX-License-Identifier: MIT
"""Update rows in chunks: stamp them with a new version, fill a column.

There is no parent and no fence, so rows may be inserted in the meantime. Therefore a backfill ends
when a whole scan has found nothing to update. Keeping new rows from becoming due is the job of a
constraint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, cast
from uuid import UUID, uuid4

from attrs import evolve, field, frozen

from batchq.bulk.argument_types import checked, checked_job_id, is_of, of
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
from batchq.language.batch import Batch
from batchq.language.builders import raw_sql, select, update
from batchq.language.compose import gather
from batchq.language.errors import InvalidBatch
from batchq.language.local_settings import ALL_ROWS, with_settings
from batchq.language.sql_template import sql_template
from batchq.language.statement import Statement
from batchq.language.validation import is_text

if TYPE_CHECKING:
    from batchq.language.inputs import Condition, Where


_NONE = sql_template("NOT EXISTS ({rows})")
_STILL_DUE = (
    "rows of {table} are due after every scan: they keep being inserted, or a trigger, a rule or a "
    "policy keeps them as they are or sets them back, or set= does not make where= false"
)


@frozen(kw_only=True)
class Backfill:
    """Rows of a table to update, however many there are.

    A chunk reads a number of rows in the order of a key, due or not: so the server does not search
    a large table for a few rows that are due, and no transaction takes longer because of it.

    >>> from batchq import sql, steps
    >>> restamp = Backfill(
    ...     name="rules-v2",
    ...     table="vpc_firewall_rule",
    ...     set={"row_version": 2},
    ...     where=sql("row_version < 2"),
    ... )
    >>> [step.statement.title for step in steps(restamp.start())]
    ['insert bulk_job']
    """

    name: str
    """The task name of its job."""
    table: str
    set: Mapping[str, object]
    """As for :func:`~batchq.update`."""
    where: Where
    """Which rows are due; as for :func:`~batchq.update`. An updated row must not be due.
    """
    order: tuple[str, ...] = field(default=("id",), converter=order_columns)
    """The order key: one or more columns with a unique index, such as the primary key."""
    jobs: Jobs = field(factory=Jobs, validator=of("Backfill", Jobs, "Jobs()"))

    def __attrs_post_init__(self) -> None:
        """Reject a backfill that might not end, or that could not be executed."""
        if not is_text(self.name):
            raise InvalidBatch(
                f"Backfill(name={self.name!r:.40}): its job is found by the name; pass a non-empty "
                f"str"
            )
        if not is_of(self.set, Mapping):
            raise InvalidBatch(
                f"Backfill({self.name!r}): set=: pass a mapping of columns to values, not "
                f'{type(self.set).__name__}; write set={{"column": …}}'
            )
        checked("Backfill", "table", self.table, str, '"widget"')
        try:
            updated = update(self.table, self.set, where=self.where)
        except InvalidBatch as error:
            raise InvalidBatch(f"Backfill({self.name!r}): {error}") from error
        check_known(f"Backfill({self.name!r})", updated._values)
        if moved := [name for name in self.order if name in self.set]:
            raise InvalidBatch(
                f"Backfill({self.name!r}): set= changes {', '.join(map(repr, moved))}, a part of "
                f"the order key, so that rows may move ahead and be found again; order= other "
                f"columns"
            )

    ROOT: ClassVar = "*"
    """Stands in a job for the parent's key."""

    @property
    def stages(self) -> tuple[Backfill]:
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
        """Update the rows that are due among the next rows, and record them in the job.

        :param skip_locked: skip rows that other transactions have locked, instead of waiting.
        """
        where = [] if job.cursor is None else [after(self.order, job.cursor)]
        rows_after = select(self.table, self.order, where=where or raw_sql("true"))
        conditions: list[Condition] = [*within(self.order, job.cursor), *self._where()]
        parts = ChunkParts(
            table=self.table,
            page=ordered(rows_after, self.order, rows),
            where=tuple(conditions),
            mutation=lambda where: update(self.table, self.set, where=where),
            order=self.order,
            counts=True,
            in_place=True,
        )
        return chunk(parts, job, self.jobs.table, rows, lease, skip_locked=skip_locked)

    def estimate(self, root: object) -> Batch[int]:  # noqa: ARG002  there is only one
        """Return the planner's estimate of how many rows are due."""
        return estimated(select(self.table, self.order, where=self.where))

    def scan_order(self, root: object) -> Batch[ScanOrder] | None:  # noqa: ARG002  no choice
        """Return None: an update puts new rows ahead into the heap."""
        return None

    def finish(self, job: Job) -> Batch[Job]:
        """End a job whose last scan has found nothing; otherwise restart it.

        It does not end before it is certain that no row was left out: neither for a NULL in its
        order key, nor for a lock, nor because a policy hides it from this role.
        """
        visible = select(self.table, self.order, where=raw_sql("false")).label(self.table)
        if job.scan_rows == 0 and not job.skipped_locked:
            end = self.jobs.mark_done(job)
            for name in self.order:
                key = evolve(self.order_key, columns=(name,))
                none = _NONE.fill(rows=invalid_columns(key))
                invalid = InvalidOrderKey(self.order_key.describe(name, FLAWS[NULLS]))
                end = end.require(none, raises=invalid)
        else:
            end = self.jobs.restart(job, _STILL_DUE.format(table=self.table))
        return gather(with_settings(ALL_ROWS, visible), end).map(_second)

    def _where(self) -> list[Condition]:
        where = self.where
        if isinstance(where, list | tuple):
            return list(cast("Sequence[Condition]", where))
        return [cast("Condition", where)]


def _second(results: tuple[object, Job]) -> Job:
    return results[1]
