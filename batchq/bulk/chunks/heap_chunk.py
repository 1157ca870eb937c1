# SPDX-License-Identifier: MIT
"""A chunk in the order of the heap: it deletes the rows that are due in the table's next blocks.

In the order of a random key each chunk's rows lie all over the table. Rows that are a good part of
the table are deleted block by block instead, each block once. Nothing here has to be
complete: a row that is moved or inserted into a block before the cursor is found by the check at
the end of the job, which restarts it in the order of the key. See docs/adr/0039.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache

from attrs import evolve

from batchq.bulk.chunks.fence import Fence
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
from batchq.bulk.job import Job
from batchq.engine.compile.quoting import literal, quoted
from batchq.language.builders import raw_sql
from batchq.language.changes import delete
from batchq.language.inputs import Condition
from batchq.language.selects import select
from batchq.language.sql_template import SqlTemplate, sql_template
from batchq.language.statement import Statement

_CTID = ("ctid",)
_TYPE = "27"
"""The OID of the type ``tid``, which never changes (PostgreSQL sources, pg_type.dat)."""

_CHUNK = """\
WITH {fence}{unlocked}batchq_changed AS (
    {mutation} RETURNING 1
), batchq_ahead AS MATERIALIZED (
    {ahead}
), batchq_next AS MATERIALIZED (
    SELECT count(*) AS rows, CASE
        WHEN count(*) > 0 THEN %(found)s::text[]
        WHEN EXISTS (SELECT FROM batchq_ahead) THEN %(near)s::text[]
        ELSE %(far)s::text[]
    END AS cursor FROM batchq_changed
), batchq_done AS MATERIALIZED (
    SELECT rows, cursor[1]::bigint * current_setting('block_size')::bigint
            < pg_relation_size({table}::regclass) AS full,
        cursor AS last, %(signature)s::text[] AS signature,
        NULL::text AS flaw, {skipped} AS skipped
    FROM batchq_next
)
{record}
"""
"""It has no page: the blocks are the bound, and are read once. ``full`` is whether blocks are left
after them, and no measure of the rows. A row that an update moves to another block while the chunk
waits for it may be left.

After a chunk that found no row, the next one looks ahead, up to ``_FARTHEST`` times as far, and
passes over blocks without a row that is due: to delete, they would be read in as many chunks. That
look is planned for all its rows, as the DELETE is, so that it uses no other index, and it ends at
the first row."""
_FARTHEST = 16
_BLOCKS = "ctid >= %(first)s AND ctid < %(end)s"
_TID = "({},0)"


def is_heap_chunk(job: Job) -> bool:
    """Return whether the next chunk of a job is one in the order of the heap.

    At the end of a job without a parent: whether the last one was.
    """
    return job.cursor is not None and (job.cursor_key or [])[1:] == [*_CTID, _TYPE]


def at_first_block(job: Job, table: str, rows_per_block: int) -> Job:
    """Return a job whose next chunk is the first one in the order of the heap, which stores that.

    :param rows_per_block: how many rows a full block holds; with it a chunk converts the rows that
        it is asked for to blocks.
    """
    return evolve(job, cursor=_cursor(0, rows_per_block, 1), cursor_key=[table, *_CTID, _TYPE])


def first_block(job: Job) -> list[str]:
    """Return the cursor of the first chunk of another scan in the order of the heap."""
    _, rows_per_block, _ = job.cursor or []
    return _cursor(0, int(rows_per_block), 1)


def _cursor(block: int, rows_per_block: int, reach: int) -> list[str]:
    """Return the next chunk's first block, and how many times its blocks it looks ahead."""
    return [str(block), str(rows_per_block), str(reach)]


def heap_chunk(
    table: str,
    due: list[Condition],
    job: Job,
    *,
    jobs: str,
    fence: Fence | None,
    rows: int,
    lease: timedelta,
    skip_locked: bool = False,
) -> Statement[Chunk]:
    """Write the statement of a chunk in the order of the heap.

    :param due: the conditions on a row to delete; no index should be of use for them, or the server
        may read all of these rows in each chunk.
    :param rows: how many rows the blocks should hold, due or not.
    """
    first, rows_per_block, reach = map(int, job.cursor or ())
    blocks = max(rows // rows_per_block, 1)
    end, far = first + blocks, first + blocks * reach
    where: list[Condition] = [*due, _in_blocks(first, end)]
    given = {
        "ahead": select(table, _CTID, where=[*due, _in_blocks(end, far)]),
        "found": _cursor(end, rows_per_block, 1),
        "near": _cursor(end, rows_per_block, max(reach // 2, 1)),
        "far": _cursor(far, rows_per_block, min(reach * 2, _FARTHEST)),
        "signature": job.cursor_key,
        **record_values(job, fence, lease),
    }
    if skip_locked:
        given["due"] = select(table, _CTID, where=where)
        where = [*where, is_unlocked(_CTID)]
    same_tables = None if fence is None else fence.same_tables
    template = _template(table, jobs, same_tables, skip_locked=skip_locked)
    filled = template.fill(mutation=delete(table, where=where), **given)
    return recorded(filled, table, job, fence)


def _in_blocks(first: int, end: int) -> Statement[None]:
    return raw_sql(_BLOCKS, first=_TID.format(first), end=_TID.format(end))


@lru_cache(maxsize=1024)
def _template(
    table: str, jobs: str, same_tables: SqlTemplate | None, *, skip_locked: bool
) -> SqlTemplate:
    """Return what is the same in all chunks of a stage."""
    return sql_template(
        _CHUNK,
        fence=fence_part(same_tables),
        unlocked=unlocked_part(skip_locked=skip_locked),
        table=literal(quoted(table)),
        skipped=skipped_rows(_CTID, skip_locked=skip_locked),
        record=record(jobs, same_tables, keeps_cursor=same_tables is None),
    )
