# SPDX-License-Identifier: MIT
"""The statement of a chunk: it deletes the next rows and records them in their job.

Why one statement: no crash can come between the delete and its record.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache

from attrs import frozen

from batchq.bulk.chunks.cursor import cursor_texts
from batchq.bulk.chunks.fence import Fence
from batchq.bulk.chunks.order_key import OrderKey, catalog_names, flaw_in_chunk, signature
from batchq.bulk.chunks.record import (
    Chunk,
    fence_part,
    is_unlocked,
    record,
    record_values,
    recorded,
    skipped_rows,
    unlocked_part,
)
from batchq.bulk.errors import InvalidOrderKey
from batchq.bulk.job import Job
from batchq.engine.client_encoding import textual
from batchq.engine.compile.quoting import identifier, listed
from batchq.language.builders import raw_sql
from batchq.language.inputs import Condition
from batchq.language.selects import select
from batchq.language.sql_template import SqlTemplate, sql_template
from batchq.language.statement import Statement
from batchq.language.violation import Violation


@frozen(kw_only=True)
class ChunkParts:
    """What a chunk is made of."""

    table: str
    page: Statement[None]
    """Selects the keys of the rows after the cursor, in order."""
    where: tuple[Condition, ...]
    """Which rows of the table to delete: those :func:`within` the page that are due."""
    mutation: Callable[[list[Condition]], Statement[None]]
    """Makes the DELETE or UPDATE of the rows that meet some conditions."""
    order: tuple[str, ...]
    """The columns of the page, which make up the cursor."""
    counts: bool
    """Whether the rows are finished then, and not only hidden."""
    fence: Fence | None = None
    """The fence of their parent; None if there is no parent."""
    parent_column: str | None = None
    """The column of the order that is compared with a parent's key."""
    parents: Statement[None] | None = None
    """Locks the parents of the page's rows; None if the fence locks the only one."""
    in_place: bool = False
    """Whether the rows stay in the table, where the same scan must not meet them again."""


_CHUNK = """\
WITH {fence}batchq_page AS MATERIALIZED (
    {page}
), batchq_last AS MATERIALIZED (
    SELECT * FROM batchq_page ORDER BY {descending} LIMIT 1
), {parents}{unlocked}batchq_changed AS (
    {mutation} RETURNING {returned}
), {cursor}, batchq_done AS MATERIALIZED (
    SELECT (SELECT count(*) FROM batchq_changed) AS rows,
        (SELECT count(*) FROM batchq_page) >= %(rows)s AS full,
        (SELECT texts FROM batchq_cursor WHERE restored <> '') AS last,
        {signature} AS signature, {flaw} AS flaw, {skipped} AS skipped
)
{record}
"""
"""The fence comes first: the page and the rows to delete are found by the key of the row that it
locks. The page starts after the cursor, so that no chunk reads the dead rows of those before it.
What is deleted lies between the cursor and the end of the page: so each row is visited once, and a
row that is updated meanwhile is followed to its new version. Deleting by a list of keys or of
``ctid`` takes half as long again, or more (measured: docs/adr/0019)."""
_PARENTS = """\
batchq_parents AS MATERIALIZED (
    {parent_rows}
), """
_ALL_UNLOCKED = "SELECT FROM batchq_unlocked"
_FOUND = (
    "CASE WHEN done.rows = 0 AND job.scan_rows = 0 AND EXISTS ({due}) THEN 1 ELSE done.rows END"
)
"""If an update has changed no row, look for rows that are due: a trigger or a policy may have kept
one as it was, and then the scan has found something all the same. The look sees the rows as they
were before the update."""
_ORDERED = "{rows} ORDER BY {order} LIMIT %(limit)s"
_AFTER = "({keys}) > ({places})"
_LAST = "(SELECT {key} FROM batchq_last)"
_WITHIN = "({keys}) <= ({last})"
_BEYOND = "({keys}) > ({last})"


def chunk(
    parts: ChunkParts,
    job: Job,
    jobs: str,
    rows: int,
    lease: timedelta,
    *,
    skip_locked: bool = False,
) -> Statement[Chunk]:
    """Write the statement of a chunk.

    :param jobs: the job table.
    :param rows: how many rows to look for.
    :param lease: how long the job is this worker's after the chunk.
    :param skip_locked: skip rows that other transactions have locked, instead of waiting.
    """
    key = OrderKey(parts.table, parts.order, parts.parent_column)
    is_first = job.cursor is None
    template = _template(
        key,
        jobs,
        counts=parts.counts,
        same_tables=None if parts.fence is None else parts.fence.same_tables,
        locks_parents=parts.parents is not None,
        is_first=is_first,
        in_place=parts.in_place,
        skip_locked=skip_locked,
    )
    where = list(parts.where)
    given = {
        "page": parts.page,
        "rows": rows,
        "signature": key.names,
        **record_values(job, parts.fence, lease),
    }
    given |= catalog_names(key) if is_first else {"cursor_key": job.cursor_key}
    if parts.parents is not None:
        given["parent_rows"] = parts.parents
    if skip_locked or parts.in_place:
        given["due"] = select(parts.table, parts.order, where=where)
    if skip_locked:
        where.append(is_unlocked(parts.order))
    filled = template.fill(mutation=parts.mutation(where), **given)
    statement = recorded(filled, parts.table, job, parts.fence)

    def invalid(violation: Violation) -> InvalidOrderKey:
        return InvalidOrderKey(key.describe_flaw(str(textual(violation.row["flaw"]))))

    return statement.ensure({"flaw": None}, raises=invalid)


@lru_cache(maxsize=1024)
def _template(
    key: OrderKey,
    jobs: str,
    *,
    counts: bool,
    same_tables: SqlTemplate | None,
    locks_parents: bool,
    is_first: bool,
    in_place: bool,
    skip_locked: bool,
) -> SqlTemplate:
    """Return what is the same in all chunks of a stage."""
    keys = listed(key.columns)
    due: str | SqlTemplate = _ALL_UNLOCKED if skip_locked else sql_template("{due}")
    beyond = _BEYOND.format(keys=keys, last=_last(key.columns))
    return sql_template(
        _CHUNK,
        fence=fence_part(same_tables),
        parents=sql_template(_PARENTS if locks_parents else ""),
        unlocked=unlocked_part(skip_locked=skip_locked),
        skipped=skipped_rows(key.columns, skip_locked=skip_locked),
        returned=f"{beyond} AS moved" if in_place else "1",
        cursor=cursor_texts(key.columns),
        signature=signature(key),
        flaw=flaw_in_chunk(key, first=is_first, in_place=in_place),
        descending=listed(key.columns, suffix=" DESC"),
        record=record(
            jobs,
            same_tables,
            counts=counts,
            found=sql_template(_FOUND, due=due) if in_place else None,
        ),
    )


def ordered(rows: Statement[None], order: tuple[str, ...], limit: int) -> Statement[None]:
    """Limit a query to its first rows in an order."""
    return _ordered(order).fill(rows=rows, limit=limit)


@lru_cache(maxsize=1024)
def _ordered(order: tuple[str, ...]) -> SqlTemplate:
    return sql_template(_ORDERED, order=listed(order))


def after(order: tuple[str, ...], cursor: list[str]) -> Statement[None]:
    """Write the condition that a row comes after the cursor."""
    return _after(order, len(cursor)).fill(**{f"at{n}": value for n, value in enumerate(cursor)})


@lru_cache(maxsize=1024)
def _after(order: tuple[str, ...], values: int) -> SqlTemplate:
    places = ", ".join(f"%(at{n})s" for n in range(values))
    return sql_template(_AFTER, keys=listed(order), places=sql_template(places))


def within(order: tuple[str, ...], cursor: list[str] | None) -> list[Statement[None]]:
    """Write the conditions that a row comes after the cursor, and not after the page's last row."""
    return [_up_to_last(order)] if cursor is None else [after(order, cursor), _up_to_last(order)]


@lru_cache(maxsize=1024)
def _up_to_last(order: tuple[str, ...]) -> Statement[None]:
    return raw_sql(_WITHIN.format(keys=listed(order), last=_last(order)))


def _last(order: tuple[str, ...]) -> str:
    return ", ".join(_LAST.format(key=identifier(name)) for name in order)
