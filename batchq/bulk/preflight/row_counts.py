# SPDX-License-Identifier: MIT
"""Count the rows that a stage would delete or update, up to a limit, and take one as a sample."""

from __future__ import annotations

from typing import NamedTuple

from attrs import evolve, frozen

from batchq.bulk.chunks.stages import Stage
from batchq.bulk.table_task import TableTask
from batchq.bulk.tree import DeleteTree
from batchq.engine.client_encoding import own
from batchq.engine.compile.quoting import listed
from batchq.language.batch import Batch
from batchq.language.compose import gather
from batchq.language.selects import select
from batchq.language.shape import Shape
from batchq.language.spelling import with_article
from batchq.language.sql_template import sql_template
from batchq.language.statement import Statement
from batchq.language.syntax import Delete, Select, Update
from batchq.language.value_places import places_in


@frozen(kw_only=True)
class RowCount:
    """How many rows of a table would be deleted or updated."""

    table: str
    rows: int
    more: bool
    """Whether there are more than ``rows``, the limit up to which they were counted."""
    estimate: int
    """The planner's estimate."""

    def __str__(self) -> str:
        """Format the count."""
        more = "more than " if self.more else ""
        return f"{more}{self.rows:,} (the planner expects {self.estimate:,})"


@own
class _Page(NamedTuple):
    """The number of rows up to the limit, and a sample."""

    rows: int
    sample: list[str] | None


@frozen
class StageRows:
    """The rows of a stage."""

    count: RowCount
    sample: list[str] | None
    """The order key of one of them, as text."""


_KEY = sql_template(
    "SELECT root FROM (SELECT ({key})::text AS root) AS parent WHERE root IS NOT NULL"
)
_PAGE = """\
WITH page AS MATERIALIZED ({rows} LIMIT %(limit)s)
SELECT (SELECT count(*) FROM page) AS rows, (SELECT ARRAY[{texts}] FROM page LIMIT 1) AS sample"""


@own
class _Key(NamedTuple):
    """A parent's key."""

    root: str


def key_as_text(tree: DeleteTree, key: object) -> Batch[list[str]]:
    """Read a parent's key as the server writes it; empty if there is no such parent."""
    rows = _KEY.fill(key=tree.root(key)).all(_Key)
    return rows.label(tree.parent.table).map(lambda keys: [row.root for row in keys])


def count_live_parents(tree: DeleteTree, key: object) -> Statement[int]:
    """Count the rows that a start would find by this key: 1, or 0."""
    parent = tree.parent
    live = {parent.key: key} | ({} if parent.deleted_at is None else {parent.deleted_at: None})
    return select(parent.table, [parent.key], where=live).count().label(parent.table)


def count_rows(stage: Stage | TableTask, root: object, key: object, limit: int) -> Batch[StageRows]:
    """Count the rows of a stage.

    :param root: the parent's key as an expression; None without a parent.
    :param key: the key as the caller has written it, for which the planner has statistics.
    :param limit: how many rows to count one by one.
    """
    if isinstance(stage, TableTask):
        rows = stage.due_now()
    else:
        # Their own children, which are deleted before them, do not keep them from being counted.
        stage = evolve(stage, without_children=())
        rows = _selected(stage, root)
    sampled = sql_template(_PAGE, texts=listed(stage.order_columns, suffix="::text"))
    page = sampled.fill(rows=rows, limit=limit + 1).one(_Page).label(stage.table)
    table = stage.table

    def result(answers: tuple[_Page, int]) -> StageRows:
        page, estimate = answers
        more = page.rows > limit
        counted = limit if more else page.rows
        count = RowCount(table=table, rows=counted, more=more, estimate=estimate)
        return StageRows(count, page.sample)

    return gather(page, stage.estimate(key)).map(result)


def _selected(stage: Stage, root: object) -> Statement[None]:
    """Select exactly the rows that the stage would delete or update."""
    mutation = stage.apply_all(root)
    source = mutation._shape.source
    if not isinstance(source, Delete | Update):
        raise TypeError(f"a stage deletes or updates, and this is {with_article(type(source))}")
    last = len(mutation._values) - len(places_in(source.where))
    selected = Select(stage.table, stage.order_columns, source.where)
    return Statement(Shape(selected), mutation._values[last:])
