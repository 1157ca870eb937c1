# SPDX-License-Identifier: MIT
"""Rows that are updated in chunks: a new version's stamp, a column that is filled.

There is no parent and no fence: rows may come while it goes on. So it is over when a whole pass has
found nothing to do. What keeps them from coming again is a constraint's business, not a sweep's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, cast
from uuid import UUID, uuid4

from attrs import evolve, field, frozen

from batchq.bulk.chunks.chunk import Chunk, ChunkParts, behind, chunk, order_key, ordered, within
from batchq.bulk.chunks.estimate import estimated
from batchq.bulk.chunks.order_key import FLAWS, NULLS, OrderKey, unfit
from batchq.bulk.chunks.subquery import embed
from batchq.bulk.errors import InvalidOrderKey, JobExists
from batchq.bulk.job import Job
from batchq.bulk.jobs import Jobs
from batchq.language.batch import Batch
from batchq.language.builders import raw_sql, select, update
from batchq.language.compose import gather
from batchq.language.errors import InvalidBatch
from batchq.language.local_settings import ALL_ROWS, with_settings
from batchq.language.statement import Statement

if TYPE_CHECKING:
    from batchq.language.inputs import Condition, Where


_NONE = "NOT EXISTS ({rows})"
_DUE = (
    "rows of {table} are due after every pass: they keep coming, or a trigger, a rule or a policy "
    "keeps them as they are or sets them back, or what set= says does not make where= false"
)


@frozen(kw_only=True)
class Backfill:
    """Rows of a table that are to be updated, however many there are.

    A chunk looks at so many rows in the order of a key, due or not: the server need not search a
    large table for a few that are, and no transaction lasts longer for it.

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
    """What its job is called."""
    table: str
    set: Mapping[str, object]
    """As of :func:`~batchq.update`."""
    where: Where
    """Which rows are due; as of :func:`~batchq.update`. One that was updated no longer is."""
    order: tuple[str, ...] = field(default=("id",), converter=order_key)
    """A column, or several, with a unique index of their own: the primary key."""
    jobs: Jobs = field(factory=Jobs)

    def __attrs_post_init__(self) -> None:
        """Refuse what might not end."""
        if moved := [name for name in self.order if name in self.set]:
            message = (
                f"Rewrite({self.name!r}) sets {', '.join(map(repr, moved))}, which it is ordered "
                f"by: rows would move ahead and be met again; say order=… of other columns"
            )
            raise InvalidBatch(message)

    ROOT: ClassVar = "*"
    """What stands in the place of a parent's key."""

    @property
    def stages(self) -> tuple[Backfill]:
        """What is swept: one table."""
        return (self,)

    @property
    def order_key(self) -> OrderKey:
        """The columns by which rows are ordered."""
        return OrderKey(self.table, self.order)

    def start(self, job: UUID | None = None) -> Batch[UUID]:
        """Leave a job behind; an ordinary batch, to be composed with others.

        :param job: its id, where the caller wants to choose it.
        :raises JobExists: by the server, when one of that name is not finished.
        """
        job = job or uuid4()
        leaving = self.jobs.create(job, self.name, self.ROOT, JobExists(self.name))
        return leaving.map(lambda _: job)

    def chunk(
        self, job: Job, rows: int, lease: timedelta, *, skip_locked: bool = False
    ) -> Statement[Chunk]:
        """Update what is due among the next rows, and count them in the same statement.

        :param skip_locked: whether rows that others have locked are left, instead of waited for.
        """
        due = [] if job.cursor is None else [behind(self.order, job.cursor)]
        found = select(self.table, self.order, where=due or raw_sql("true"))
        conditions: list[Condition] = [*within(self.order, job.cursor), *self._where()]
        parts = ChunkParts(
            table=self.table,
            page=ordered(found, self.order, rows),
            where=tuple(conditions),
            mutation=lambda where: update(self.table, self.set, where=where),
            order=self.order,
            counts=True,
            in_place=True,
        )
        return chunk(parts, job, self.jobs.table, rows, lease, skip_locked=skip_locked)

    def estimate(self, root: object) -> Batch[int]:  # noqa: ARG002  there is only one
        """Ask the planner how many rows are due."""
        return estimated(select(self.table, self.order, where=self.where))

    def finish(self, job: Job) -> Batch[Job]:
        """End a job whose last pass found nothing; otherwise sweep once more.

        Not before it was seen that no row can have been passed over, for a NULL in its order key or
        for somebody else's lock, nor be hidden from this role by a policy.
        """
        seen = select(self.table, self.order, where=raw_sql("false")).label(self.table)
        if job.scan_rows == 0 and not job.skipped_locked:
            done = self.jobs.mark_done(job)
            for name in self.order:
                text, values = embed(unfit(evolve(self.order_key, columns=(name,))), "unfit")
                refused = InvalidOrderKey(self.order_key.of(name, FLAWS[NULLS]))
                done = done.require(raw_sql(_NONE.format(rows=text), **values), raises=refused)
        else:
            done = self.jobs.restart(job, _DUE.format(table=self.table))
        return gather(with_settings(ALL_ROWS, seen), done).map(_second)

    def _where(self) -> list[Condition]:
        where = self.where
        if isinstance(where, list | tuple):
            return list(cast("Sequence[Condition]", where))
        return [cast("Condition", where)]


def _second(results: tuple[object, Job]) -> Job:
    return results[1]
