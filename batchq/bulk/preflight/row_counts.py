# SPDX-License-Identifier: MIT
"""How many rows there are to go, counted up to a bound, and one of them as a sample."""

from __future__ import annotations

from typing import NamedTuple

from attrs import evolve, frozen

from batchq.bulk.backfill import Backfill
from batchq.bulk.chunks.stages import Stage
from batchq.bulk.chunks.subquery import columns, embed
from batchq.bulk.tree import DeleteTree
from batchq.engine.client_encoding import own
from batchq.language.batch import Batch
from batchq.language.builders import raw_sql, select
from batchq.language.compose import gather
from batchq.language.shape import Shape
from batchq.language.statement import Statement
from batchq.language.syntax import Delete, Select, Update, condition_names


@frozen(kw_only=True)
class RowCount:
    """How many rows of a table there are to go."""

    table: str
    rows: int
    more: bool
    """Whether there are more than these, which were counted."""
    estimate: int
    """The planner's."""

    def __str__(self) -> str:
        """Say it."""
        more = "more than " if self.more else ""
        return f"{more}{self.rows:,} (the planner expects {self.estimate:,})"


@own
class _Page(NamedTuple):
    """Some rows of a pass."""

    rows: int
    sample: list[str] | None


@frozen
class StageRows:
    """What a pass finds."""

    count: RowCount
    sample: list[str] | None
    """The order key of some row, as texts."""


_KEY = "SELECT root FROM (SELECT ({key})::text AS root) AS told WHERE root IS NOT NULL"
_PAGE = """\
WITH page AS MATERIALIZED ({rows} LIMIT %(most)s)
SELECT (SELECT count(*) FROM page) AS rows, (SELECT ARRAY[{texts}] FROM page LIMIT 1) AS sample"""


@own
class _Key(NamedTuple):
    """A parent's key."""

    root: str


def written_key(tree: DeleteTree, key: object) -> Batch[list[str]]:
    """Ask the server how it writes a parent's key; nothing, where there is no such parent."""
    text, values = embed(tree.root(key), "key")
    rows = raw_sql(_KEY.format(key=text), **values).all(_Key)
    return rows.label(tree.parent.table).map(lambda found: [one.root for one in found])


def tally(one: Stage | Backfill, root: object, key: object, most: int) -> Batch[StageRows]:
    """Count what a pass would let go.

    :param root: the parent's key as the pass is to be told it; nothing, of a rewrite.
    :param key: the same as the caller says it, which the planner knows something of.
    :param most: counted one by one up to here.
    """
    if isinstance(one, Backfill):
        keys, rows = one.order, select(one.table, one.order, where=one.where)
    else:
        # Before they go, children of its own are there, and are no reason for a row to stay.
        one = evolve(one, without_children=())
        keys, rows = one.keys, _selected(one, root)
    found, values = embed(rows, "row")
    text = _PAGE.format(rows=found, texts=columns(keys, behind="::text"))
    page = raw_sql(text, **values, most=most + 1).one(_Page).label(one.table)
    table = one.table

    def told(answers: tuple[_Page, int]) -> StageRows:
        page, estimate = answers
        more = page.rows > most
        rows = most if more else page.rows
        return StageRows(
            RowCount(table=table, rows=rows, more=more, estimate=estimate), page.sample
        )

    return gather(page, one.estimate(key)).map(told)


def _selected(one: Stage, root: object) -> Statement[None]:
    """Select the very rows that the statement for all of them lets go."""
    going = one.apply_all(root)
    source = going._shape.source
    if not isinstance(source, Delete | Update):
        message = f"a pass deletes or updates, and this is a {type(source).__name__}"
        raise TypeError(message)
    last = len(going._values) - len(condition_names(source.where))
    selected = Select(one.table, one.keys, source.where)
    return Statement(Shape(selected), going._values[last:])
