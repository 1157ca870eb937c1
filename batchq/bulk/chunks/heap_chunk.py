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
), batchq_done AS MATERIALIZED (
    SELECT (SELECT count(*) FROM batchq_changed) AS rows,
        %(next)s::bigint * current_setting('block_size')::bigint
            < pg_relation_size({table}::regclass) AS full,
        %(cursor)s::text[] AS last, %(signature)s::text[] AS signature,
        NULL::text AS flaw, {skipped} AS skipped
)
{record}
"""
"""It has no page: the blocks are the bound, and are read once. ``full`` is whether blocks are left
after them, and no measure of the rows. A row that an update moves to another block while the chunk
waits for it may be left."""
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
    cursor = ["0", str(rows_per_block)]
    return evolve(job, cursor=cursor, cursor_key=[table, *_CTID, _TYPE])


def first_block(job: Job) -> list[str]:
    """Return the cursor of the first chunk of another scan in the order of the heap."""
    return ["0", *(job.cursor or ())[1:]]


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
    first, rows_per_block = map(int, job.cursor or ())
    end = first + max(rows // rows_per_block, 1)
    blocks = raw_sql(_BLOCKS, first=_TID.format(first), end=_TID.format(end))
    where: list[Condition] = [*due, blocks]
    given = {
        "next": end,
        "cursor": [str(end), str(rows_per_block)],
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
