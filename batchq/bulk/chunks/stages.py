# SPDX-License-Identifier: MIT
"""A stage of a job: one scan over one kind of rows below the parent.

A tree is deleted stage by stage, a table's children before its own rows. Rows that have children
are soft-deleted in a stage before that of their children, so that they gain no more of them.
"""

from __future__ import annotations

from functools import cached_property

from attrs import Factory, field, frozen

from batchq.bulk.chunks.chunk import ChunkParts, after, ordered, within
from batchq.bulk.chunks.estimate import estimated
from batchq.bulk.chunks.fence import ROOT, Fence
from batchq.bulk.chunks.order_key import OrderKey
from batchq.bulk.errors import RowsAfterFence, TooManyRows
from batchq.bulk.job import Job
from batchq.engine.compile.quoting import identifier, quoted
from batchq.language.batch import Batch
from batchq.language.builders import delete, raw_sql, select, update
from batchq.language.inputs import Condition
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
_AMONG = "{by} IN ({parents})"
_BY_PARENT = """\
SELECT batchq_child.* FROM ({parents} ORDER BY {key}) AS batchq_parent, LATERAL (
    {rows}
) AS batchq_child ORDER BY {order} LIMIT %(limit)s"""
"""Parent by parent, in the order of their keys: a page holds rows of several parents, and finding
it reads no other parent's rows. The last ORDER BY is what holds; the others let PostgreSQL sort the
rows of one parent at a time, and stop early (measured: docs/adr/0032)."""
_WITHOUT_CHILDREN = """\
NOT EXISTS (
    SELECT 1 FROM {table} AS batchq_child WHERE batchq_child.{by} = {parent}.{key}{live}
)"""


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

    def chunk_parts(self, job: Job, fence: Fence, rows: int) -> ChunkParts:
        """Return what the next chunk is made of."""
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
        return self._mutation([*_of_root(self.path, root), *self._due]).count().label(self.table)

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
        conditions = [*_of_root(self.path, root), *self._kind]
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
            return self._ordered([*_of_root(self.path, root), *own, *further], limit)
        parents = _parents(ancestors, root)
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
        return (*self._kind, *map(_without, self.without_children))

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
        where = [*_parents(ancestors, root), self._is_hidden(), in_page]
        rows = select(parent.table, [parent.key], where=where)
        return sql_template(_LOCKED_PARENTS, key=key).fill(rows=rows)

    def _of_page(self, root: object) -> list[Condition]:
        """Return the conditions on the rows of a page: their keys may lie between other rows'."""
        if len(self.path) == 1:
            return [*_of_root(self.path, root), *self._due]
        by, key = identifier(self.relation.by), identifier(self.relation.parent.key)
        return [raw_sql(_OF_LOCKED_PARENTS.format(by=by, key=key)), *self._due]

    def _mutation(self, where: list[Condition]) -> Statement[None]:
        if self.changes is None:
            return delete(self.table, where=where)
        return update(self.table, dict(self.changes), where=where)


def _of_root(path: tuple[Children, ...], root: object) -> list[Condition]:
    """Return the conditions that rows descend from the root; a hidden parent is a parent still.

    :param root: the key of the root, or a ``sql()`` fragment for it.
    """
    *ancestors, own = path
    if not ancestors:
        return [{own.by: root}]
    where = _parents(tuple(ancestors), root)
    parents = select(ancestors[-1].table, [own.parent.key], where=where)
    return [sql_template(_AMONG, by=identifier(own.by)).fill(parents=parents)]


def _parents(path: tuple[Children, ...], root: object) -> list[Condition]:
    """Return the conditions on the rows at the end of a path, hidden ones included."""
    of_root, own = _of_root(path, root), path[-1]
    return [*of_root, own.where] if own.where else of_root


def _without(children: Children) -> Statement[None]:
    deleted_at = children.deleted_at
    live = "" if deleted_at is None else f" AND batchq_child.{identifier(deleted_at)} IS NULL"
    text = _WITHOUT_CHILDREN.format(
        table=quoted(children.table),
        by=identifier(children.by),
        parent=quoted(children.parent.table),
        key=identifier(children.parent.key),
        live=live,
    )
    return raw_sql(text)
