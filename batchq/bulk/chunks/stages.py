# SPDX-License-Identifier: MIT
"""One pass over one kind of rows below a parent: which they are, and how they go.

A tree is swept in passes, the leaves first. What has children of its own is hidden in a pass before
theirs, so that it gains no more of them.
"""

from __future__ import annotations

from attrs import frozen

from batchq.bulk.chunks.chunk import ChunkParts, behind, ordered, within
from batchq.bulk.chunks.estimate import estimated
from batchq.bulk.chunks.fence import ROOT, Fence
from batchq.bulk.chunks.order_key import OrderKey
from batchq.bulk.chunks.subquery import column, embed
from batchq.bulk.errors import RowsAfterFence, TooManyRows
from batchq.bulk.job import Job
from batchq.engine.compile.quoting import identifier, quoted
from batchq.language.batch import Batch
from batchq.language.builders import delete, raw_sql, select, update
from batchq.language.inputs import Condition
from batchq.language.statement import Statement
from batchq.language.violation import Violation
from batchq.patterns.hierarchy import Children

_MORE = "SELECT 1 FROM ({rows}) AS page OFFSET %(most)s"
_OF_PARENT = "{by} = batchq_above.{key}"
_OF_HELD = "{by} = ANY(ARRAY(SELECT {key} FROM batchq_held))"
_IN_PAGE = "{key} = ANY(ARRAY(SELECT DISTINCT {by} FROM batchq_page))"
_HELD = "{rows} ORDER BY {key} FOR SHARE"
_AMONG = "{by} IN ({parents})"
_BELOW = """\
SELECT batchq_below.* FROM ({parents} ORDER BY {key}) AS batchq_above, LATERAL (
    {rows}
) AS batchq_below ORDER BY {order} LIMIT %(most)s"""
"""Parent by parent, in the order of their keys: rows of several parents in one page, found without
a look at any other parent's. The order that is said last is what holds; the others let PostgreSQL
sort one parent's rows at a time, and stop (measured: docs/adr/0032)."""
_CHILDLESS = """\
NOT EXISTS (
    SELECT 1 FROM {table} AS batchq_below WHERE batchq_below.{by} = {above}.{key}{living}
)"""


@frozen(kw_only=True)
class Stage:
    """One pass over one kind of rows."""

    path: tuple[Children, ...]
    """How the rows are found: the parent's own children, their children, … and at last these."""
    order: tuple[str, ...]
    """Unique among the children of one parent, and indexed together with its key."""
    sets: tuple[tuple[str, object], ...] | None
    """What is set of a row that goes; None where it is deleted."""
    counts: bool = True
    """Whether the rows are gone then; not those that are hidden until their own children are."""
    living: bool = True
    """Whether rows that are hidden already are none of these."""
    without_children: tuple[Children, ...] = ()
    """A row that has such children stays, to be found at the end: they came behind the fence."""

    @property
    def relation(self) -> Children:
        """What is swept."""
        return self.path[-1]

    @property
    def table(self) -> str:
        """The table that is swept."""
        return self.relation.table

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns by which rows are ordered: the parent's key is one, where there are several
        parents."""
        by = self.relation.by
        if len(self.path) == 1:
            return self.order
        return (by, *(name for name in self.order if name != by))

    @property
    def order_key(self) -> OrderKey:
        """The columns by which rows are ordered, and the one that has a parent's key."""
        return OrderKey(self.table, self.keys, self.relation.by)

    def chunk_parts(self, job: Job, fence: Fence, rows: int) -> ChunkParts:
        """Say what the next chunk is made of."""
        root = raw_sql(ROOT)
        return ChunkParts(
            table=self.table,
            page=self._rows(root, job.cursor, rows, self._due(), hidden=True),
            held=self._held(root),
            where=(*self._of_page(root), *within(self.keys, job.cursor)),
            mutation=self._mutation,
            order=self.keys,
            counts=self.counts,
            fence=fence,
            given=self.relation.by,
        )

    def apply_all(self, root: object) -> Statement[int]:
        """Let all rows go."""
        return self._mutation([*_of_root(self.path, root), *self._due()]).count().label(self.table)

    def check_at_most(self, root: object, most: int) -> Statement[None]:
        """Forbid that there are more rows than so many."""
        page, values = embed(self._rows(root, None, most + 1, self._kind()), "page")
        many = raw_sql(_MORE.format(rows=page), **values, most=most)
        return many.expect(0, unexpected=TooManyRows(self.table, most)).label(self.table)

    def check_empty(self, root: object) -> Statement[None]:
        """Forbid that there is any row."""

        def late(violation: Violation) -> RowsAfterFence:
            return RowsAfterFence(self.table, violation.row[key])

        key = self.order[-1]
        return self._left(root).expect(0, unexpected=late, columns=[key]).label(self.table)

    def check_empty_for(self, job: Job, root: object, fence: Fence) -> Statement[None]:
        """Forbid that there is any row of a job, in the tables that are its."""

        def late(violation: Violation) -> Exception:
            found = violation.row[key]
            return fence.moved(job) if found is None else RowsAfterFence(self.table, found)

        key = self.order[-1]
        left = fence.looked(self._left(root), key, job)
        return left.expect(0, unexpected=late, columns=[key]).label(self.table)

    def _left(self, root: object) -> Statement[None]:
        return self._rows(root, None, 1, self._kind())

    def estimate(self, root: object) -> Batch[int]:
        """Ask the planner how many rows will be gone."""
        if not self.counts:
            return raw_sql("SELECT 0").scalar(int)
        conditions = [*_of_root(self.path, root), *self._kind()]
        return estimated(select(self.table, self.keys, where=conditions))

    def _rows(
        self,
        root: object,
        cursor: list[str] | None,
        most: int,
        own: list[Condition],
        *,
        hidden: bool = False,
    ) -> Statement[None]:
        """Select the keys of the first rows behind the cursor, in their order.

        The order is there even where one row is enough: without it the server may read the whole
        table, in the belief that such a row comes soon.

        :param hidden: whether only rows of hidden parents are meant: one below the root may be
            brought back by itself.
        """
        above, key = self.path[:-1], self.relation.parent.key
        after = [] if cursor is None else [behind(self.keys, cursor)]
        if not above:
            return self._ordered([*_of_root(self.path, root), *own, *after], most)
        parents = _parents(above, root)
        if hidden:
            parents.append(self._hidden())
        if cursor is not None:
            parents.append(raw_sql(f"{column(key)} >= %(at)s", at=cursor[0]))
        outer, outer_values = embed(select(above[-1].table, [key], where=parents), "above")
        of_parent = raw_sql(_OF_PARENT.format(by=identifier(self.relation.by), key=identifier(key)))
        inner, inner_values = embed(self._ordered([of_parent, *own, *after], most), "below")
        places = [f"batchq_above.{column(key)}"]
        places += [f"batchq_below.{column(name)}" for name in self.keys[1:]]
        order = ", ".join(places)
        text = _BELOW.format(parents=outer, key=column(key), rows=inner, order=order)
        return raw_sql(text, **outer_values, **inner_values, most=most)

    def _ordered(self, where: list[Condition], most: int) -> Statement[None]:
        return ordered(select(self.table, self.keys, where=where), self.order, most)

    def _kind(self) -> list[Condition]:
        """What has to hold of a row besides whose child it is."""
        living: dict[str, object] = dict(self.relation.where)
        if self.living and self.relation.deleted_at is not None:
            living[self.relation.deleted_at] = None
        return [living] if living else []

    def _due(self) -> list[Condition]:
        """What has to hold of a row that goes now."""
        return [*self._kind(), *map(_childless, self.without_children)]

    def _hidden(self) -> Statement[None]:
        return raw_sql(f"{identifier(str(self.relation.parent.deleted_at))} IS NOT NULL")

    def _held(self, root: object) -> Statement[None] | None:
        """Select and lock the parents of a page's rows, but for those that are hidden no more;
        nothing, where the fence holds the only one."""
        above, parent = self.path[:-1], self.relation.parent
        if not above:
            return None
        by, key = identifier(self.relation.by), identifier(parent.key)
        in_page = raw_sql(_IN_PAGE.format(key=key, by=by))
        where = [*_parents(above, root), self._hidden(), in_page]
        rows, values = embed(select(parent.table, [parent.key], where=where), "held")
        text = _HELD.format(rows=rows, key=column(parent.key))
        return raw_sql(text if values else text.replace("%%", "%"), **values)

    def _of_page(self, root: object) -> list[Condition]:
        """What holds of all the rows of a page, whose keys may lie between those of others."""
        if len(self.path) == 1:
            return [*_of_root(self.path, root), *self._due()]
        by, key = identifier(self.relation.by), identifier(self.relation.parent.key)
        return [raw_sql(_OF_HELD.format(by=by, key=key)), *self._due()]

    def _mutation(self, where: list[Condition]) -> Statement[None]:
        if self.sets is None:
            return delete(self.table, where=where)
        return update(self.table, dict(self.sets), where=where)


def _of_root(path: tuple[Children, ...], root: object) -> list[Condition]:
    """Whose children they are, down from the root; hidden parents are parents still.

    :param root: the key of the root, or a ``sql()`` fragment for it.
    """
    *above, own = path
    if not above:
        return [{own.by: root}]
    parents, values = embed(
        select(above[-1].table, [own.parent.key], where=_parents(tuple(above), root)), "of"
    )
    return [raw_sql(_AMONG.format(by=column(own.by), parents=parents), **values)]


def _parents(path: tuple[Children, ...], root: object) -> list[Condition]:
    """Which rows are parents of what is below: hidden ones too, but none of another kind."""
    of_root, own = _of_root(path, root), path[-1]
    return [*of_root, own.where] if own.where else of_root


def _childless(children: Children) -> Statement[None]:
    deleted_at = children.deleted_at
    text = _CHILDLESS.format(
        table=quoted(children.table),
        by=identifier(children.by),
        above=quoted(children.parent.table),
        key=identifier(children.parent.key),
        living="" if deleted_at is None else f" AND batchq_below.{identifier(deleted_at)} IS NULL",
    )
    return raw_sql(text)
