# SPDX-License-Identifier: MIT
"""A stage of a job: one scan over one kind of rows below the parent.

A tree is deleted stage by stage, a table's children before its own rows. Rows that have children
are soft-deleted in a stage before that of their children, so that they gain no more of them.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property

from attrs import Factory, field, frozen

from batchq.bulk.chunks.chunk import ChunkParts, after, chunk, ordered, within
from batchq.bulk.chunks.descent import of_root, of_root_unindexed, parents_of, without
from batchq.bulk.chunks.estimate import estimated
from batchq.bulk.chunks.fence import ROOT, Fence
from batchq.bulk.chunks.heap_chunk import heap_chunk, is_heap_chunk
from batchq.bulk.chunks.order_key import OrderKey
from batchq.bulk.chunks.record import Chunk
from batchq.bulk.chunks.scan_order import ScanOrder, scan_order
from batchq.bulk.errors import RowsAfterFence, TooManyRows
from batchq.bulk.job import Job
from batchq.engine.compile.quoting import identifier
from batchq.language.batch import Batch
from batchq.language.builders import raw_sql
from batchq.language.changes import delete, update
from batchq.language.inputs import Condition
from batchq.language.selects import select
from batchq.language.sql_template import SqlTemplate, sql_template
from batchq.language.statement import Statement
from batchq.language.violation import Violation
from batchq.patterns.hierarchy import Children

_MORE = sql_template("SELECT 1 FROM ({rows}) AS page OFFSET %(limit)s")
_FROM_PARENT = "{key} >= %(at)s"
_OF_PARENT = "{by} = batchq_parent.{key}"
_OF_LOCKED_PARENTS = "{by} = ANY(ARRAY(SELECT {key} FROM batchq_parents))"
_PARENTS_OF_PAGE = "{key} = ANY(ARRAY(SELECT DISTINCT {by} FROM batchq_page))"
_LOCKED_PARENTS = "{rows} ORDER BY {key} FOR SHARE"
_BY_PARENT = """\
SELECT batchq_child.* FROM ({parents} ORDER BY {key}) AS batchq_parent, LATERAL (
    {rows}
) AS batchq_child ORDER BY {order} LIMIT %(limit)s"""
"""Parent by parent, in the order of their keys: a page holds rows of several parents, and finding
it reads no other parent's rows. The last ORDER BY is what holds; the others let PostgreSQL sort the
rows of one parent at a time, and stop early (measured: docs/adr/0032)."""


def _table(stage: Stage) -> str:
    return stage.path[-1].table


@frozen(kw_only=True)
class Stage:
    """One scan over one kind of rows."""

    path: tuple[Children, ...]
    """How the rows are found: the parent's own children, their children, … and these at last."""
    order: tuple[str, ...]
    """Unique among the children of one parent, and indexed together with its key."""
    changes: tuple[tuple[str, object], ...] | None
    """The columns to update; None to delete the rows."""
    counts: bool = True
    """Whether the rows are finished then; False if they are only hidden, to be deleted later."""
    live_only: bool = True
    """Whether to leave out rows that are soft-deleted already."""
    without_children: tuple[Children, ...] = ()
    """Rows that have such children are left, and the check at the end of the job finds them: the
    children were inserted after the fence."""
    table: str = field(default=Factory(_table, takes_self=True), init=False)

    @cached_property
    def relation(self) -> Children:
        """Which rows they are."""
        return self.path[-1]

    @cached_property
    def order_columns(self) -> tuple[str, ...]:
        """The columns of the scan's order, which has the parent's key first if there are several
        parents."""
        by = self.relation.by
        if len(self.path) == 1:
            return self.order
        return (by, *(name for name in self.order if name != by))

    @property
    def order_key(self) -> OrderKey:
        """Return the order key, and the column that holds the parent's key."""
        return OrderKey(self.table, self.order_columns, self.relation.by)

    def chunk(
        self,
        job: Job,
        jobs: str,
        fence: Fence,
        rows: int,
        lease: timedelta,
        *,
        skip_locked: bool = False,
    ) -> Statement[Chunk]:
        """Write the statement of the next chunk, in the order in which the scan has begun.

        :param jobs: the job table.
        :param skip_locked: skip rows that other transactions have locked, instead of waiting.
        """
        if is_heap_chunk(job):
            parent: list[Condition] = [of_root_unindexed(self.relation.by, ROOT), *self._due]
            return heap_chunk(
                self.table,
                parent,
                job,
                jobs=jobs,
                fence=fence,
                rows=rows,
                lease=lease,
                skip_locked=skip_locked,
            )
        parts = self._chunk_parts(job, fence, rows)
        return chunk(parts, job, jobs, rows, lease, skip_locked=skip_locked)

    def scan_order(self, root: object) -> Batch[ScanOrder] | None:
        """Choose the order of the scan; None if it can only be that of the key.

        That is so for updates, which put new rows ahead into the heap, and for rows that are found
        by other rows: their parents, or their own children.
        """
        if self.changes is not None or len(self.path) > 1 or self.without_children:
            return None
        rows = select(self.table, self.order, where=[*of_root(self.path, root), *self._kind])
        return scan_order(self.order_key, rows, "the parent's")

    def _chunk_parts(self, job: Job, fence: Fence, rows: int) -> ChunkParts:
        root = raw_sql(ROOT)
        return ChunkParts(
            table=self.table,
            page=self._rows(root, job.cursor, rows, self._due, hidden=True),
            parents=self._locked_parents(root),
            where=(*self._of_page(root), *within(self.order_columns, job.cursor)),
            mutation=self._mutation,
            order=self.order_columns,
            counts=self.counts,
            fence=fence,
            parent_column=self.relation.by,
        )

    def apply_all(self, root: object) -> Statement[int]:
        """Delete or update all the rows at once."""
        return self._mutation([*of_root(self.path, root), *self._due]).count().label(self.table)

    def check_at_most(self, root: object, limit: int) -> Statement[None]:
        """Check that there are no more rows than ``limit``."""
        more = _MORE.fill(rows=self._rows(root, None, limit + 1, self._kind), limit=limit)
        return more.expect(0, unexpected=TooManyRows(self.table, limit)).label(self.table)

    def check_empty(self, root: object) -> Statement[None]:
        """Check that there is no such row."""

        def error(violation: Violation) -> RowsAfterFence:
            return RowsAfterFence(self.table, violation.row[key])

        key = self.order[-1]
        return self._left(root).expect(0, unexpected=error, columns=[key]).label(self.table)

    def check_empty_for(self, job: Job, root: object, fence: Fence) -> Statement[None]:
        """Check that there is no such row, in the very tables that the job was made for."""

        def error(violation: Violation) -> Exception:
            value = violation.row[key]
            return fence.broken(job) if value is None else RowsAfterFence(self.table, value)

        key = self.order[-1]
        left = fence.or_other_tables(self._left(root), key, job)
        return left.expect(0, unexpected=error, columns=[key]).label(self.table)

    def _left(self, root: object) -> Statement[None]:
        return self._rows(root, None, 1, self._kind)

    def estimate(self, root: object) -> Batch[int]:
        """Return the planner's estimate of how many rows this stage will finish."""
        if not self.counts:
            return raw_sql("SELECT 0").scalar(int)
        conditions = [*of_root(self.path, root), *self._kind]
        return estimated(select(self.table, self.order_columns, where=conditions))

    def _rows(
        self,
        root: object,
        cursor: list[str] | None,
        limit: int,
        own: tuple[Condition, ...],
        *,
        hidden: bool = False,
    ) -> Statement[None]:
        """Select the keys of the first rows after the cursor, in order.

        The order is there even if one row is enough: without it the server may read the whole
        table, expecting to meet such a row soon.

        :param hidden: only rows of hidden parents: a parent below the root may have been restored.
        """
        ancestors, key = self.path[:-1], self.relation.parent.key
        further = [] if cursor is None else [after(self.order_columns, cursor)]
        if not ancestors:
            return self._ordered([*of_root(self.path, root), *own, *further], limit)
        parents = parents_of(ancestors, root)
        if hidden:
            parents.append(self._is_hidden())
        if cursor is not None:
            parents.append(sql_template(_FROM_PARENT, key=identifier(key)).fill(at=cursor[0]))
        children = self._ordered([self._of_parent, *own, *further], limit)
        return self._by_parent.fill(
            parents=select(ancestors[-1].table, [key], where=parents), rows=children, limit=limit
        )

    @cached_property
    def _of_parent(self) -> Statement[None]:
        by, key = identifier(self.relation.by), identifier(self.relation.parent.key)
        return raw_sql(_OF_PARENT.format(by=by, key=key))

    @cached_property
    def _by_parent(self) -> SqlTemplate:
        key = identifier(self.relation.parent.key)
        columns = [f"batchq_parent.{key}"]
        columns += [f"batchq_child.{identifier(name)}" for name in self.order_columns[1:]]
        return sql_template(_BY_PARENT, key=key, order=", ".join(columns))

    def _ordered(self, where: list[Condition], limit: int) -> Statement[None]:
        return ordered(select(self.table, self.order_columns, where=where), self.order, limit)

    @cached_property
    def _kind(self) -> tuple[Condition, ...]:
        """The conditions on a row of this kind, besides whose child it is."""
        conditions: dict[str, object] = dict(self.relation.where)
        if self.live_only and self.relation.deleted_at is not None:
            conditions[self.relation.deleted_at] = None
        return (conditions,) if conditions else ()

    @cached_property
    def _due(self) -> tuple[Condition, ...]:
        """The conditions on a row that may be deleted now."""
        return (*self._kind, *map(without, self.without_children))

    def _is_hidden(self) -> Statement[None]:
        return raw_sql(f"{identifier(str(self.relation.parent.deleted_at))} IS NOT NULL")

    def _locked_parents(self, root: object) -> Statement[None] | None:
        """Select and lock the hidden parents of a page's rows; None if the root is the only parent,
        which the fence locks."""
        ancestors, parent = self.path[:-1], self.relation.parent
        if not ancestors:
            return None
        by, key = identifier(self.relation.by), identifier(parent.key)
        in_page = raw_sql(_PARENTS_OF_PAGE.format(key=key, by=by))
        where = [*parents_of(ancestors, root), self._is_hidden(), in_page]
        rows = select(parent.table, [parent.key], where=where)
        return sql_template(_LOCKED_PARENTS, key=key).fill(rows=rows)

    def _of_page(self, root: object) -> list[Condition]:
        """Return the conditions on the rows of a page: their keys may lie between other rows'."""
        if len(self.path) == 1:
            return [*of_root(self.path, root), *self._due]
        by, key = identifier(self.relation.by), identifier(self.relation.parent.key)
        return [raw_sql(_OF_LOCKED_PARENTS.format(by=by, key=key)), *self._due]

    def _mutation(self, where: list[Condition]) -> Statement[None]:
        if self.changes is None:
            return delete(self.table, where=where)
        return update(self.table, dict(self.changes), where=where)
