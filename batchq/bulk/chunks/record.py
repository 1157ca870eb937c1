# SPDX-License-Identifier: MIT
"""What every chunk does besides deleting: it checks the fence, and records itself in its job.

Why one statement with the delete: no crash can come between the two.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache, partial
from typing import NamedTuple

from batchq.bulk.chunks.fence import Fence
from batchq.bulk.errors import LeaseLost
from batchq.bulk.job import Job
from batchq.engine.client_encoding import own
from batchq.engine.compile.quoting import listed, quoted
from batchq.language.builders import raw_sql
from batchq.language.sql_template import SqlTemplate, sql_template
from batchq.language.statement import Statement


@own
class Chunk(NamedTuple):
    """What a chunk did, and the state of its job after it."""

    rows: int
    """How many rows it finished; 0 if they are only hidden, to be deleted later."""
    full: bool
    """Whether there were as many rows as it asked for."""
    seq: int
    rows_done: int
    scan_rows: int
    stage: int
    cursor: list[str] | None
    fenced: bool = True
    """The fence holds. A chunk that finds it broken is rolled back."""
    cursor_key: list[str] | None = None
    flaw: str | None = None
    """What is wrong with the order key. A chunk that finds something is rolled back."""
    skipped: bool = False
    """Whether it skipped rows that other transactions had locked."""


_RECORD = """\
UPDATE {jobs} AS job SET seq = job.seq + 1,
    rows_done = job.rows_done + {counted}, scan_rows = job.scan_rows + {found},
    skipped_locked = job.skipped_locked OR done.skipped,
    stage = CASE WHEN done.full THEN job.stage ELSE job.stage + 1 END,
    cursor = CASE WHEN {keeps} THEN done.last END,
    cursor_key = CASE WHEN {keeps} THEN done.signature END,
    lease_until = now() + %(lease)s
FROM batchq_done AS done
WHERE job.id = %(job)s AND job.epoch = %(epoch)s AND job.seq = %(seq)s AND job.phase = 'active'
RETURNING {fenced} AS fenced, {counted} AS rows, done.full, job.seq, job.rows_done, job.scan_rows,
    job.stage, job.cursor, job.cursor_key, done.flaw, done.skipped
"""
_FENCE = """\
batchq_fence AS MATERIALIZED (
    {fence_row} FOR SHARE
), """
_FENCED = "(SELECT count(*) = 1 FROM batchq_fence) AND {same_tables}"

_UNLOCKED = """\
batchq_unlocked AS MATERIALIZED (
    {due} FOR UPDATE SKIP LOCKED
), """
_IS_UNLOCKED = "({keys}) IN (SELECT {keys} FROM batchq_unlocked)"
_SKIPPED = "EXISTS ({due} EXCEPT SELECT {keys} FROM batchq_unlocked)"
"""Lock the unlocked rows first, so that the chunk waits for no other; rows that are due and not
among them are skipped. Only used after a timeout: it takes 1.6 times as long (docs/adr/0032)."""


def fence_part(same_tables: SqlTemplate | None) -> SqlTemplate:
    """Write the CTE that locks the parent, which comes first.

    :param same_tables: the condition that the tables are those of the job; None without a fence.
    """
    return sql_template("" if same_tables is None else _FENCE)


def unlocked_part(*, skip_locked: bool) -> SqlTemplate:
    """Write the CTE of the rows that are due and not locked, if locked ones are skipped."""
    return sql_template(_UNLOCKED if skip_locked else "")


@lru_cache(maxsize=1024)
def is_unlocked(order: tuple[str, ...]) -> Statement[None]:
    """Write the condition that a row is not locked by another transaction."""
    return raw_sql(_IS_UNLOCKED.format(keys=listed(order)))


def skipped_rows(order: tuple[str, ...], *, skip_locked: bool) -> SqlTemplate:
    """Write the expression for whether rows that are due were skipped."""
    return sql_template(_SKIPPED, keys=listed(order)) if skip_locked else sql_template("false")


def record(
    jobs: str,
    same_tables: SqlTemplate | None,
    *,
    counts: bool = True,
    found: SqlTemplate | None = None,
    keeps_cursor: bool = False,
) -> SqlTemplate:
    """Write the end of a chunk's statement, which records the row of ``batchq_done`` in the job.

    :param jobs: the job table.
    :param counts: whether the rows are finished then, and not only hidden.
    :param found: how many rows the scan has found, if not those that are counted.
    :param keeps_cursor: whether the last chunk of a scan keeps its cursor, for the end of the job.
    """
    counted = "done.rows" if counts else "0"
    return sql_template(
        _RECORD,
        jobs=quoted(jobs),
        counted=counted,
        keeps="true" if keeps_cursor else "done.full",
        found=counted if found is None else found,
        fenced="true" if same_tables is None else sql_template(_FENCED, same_tables=same_tables),
    )


def record_values(job: Job, fence: Fence | None, lease: timedelta) -> dict[str, object]:
    """Return the values of :func:`fence_part` and :func:`record`."""
    given: dict[str, object] = {"lease": lease, "job": job.id, "epoch": job.epoch, "seq": job.seq}
    if fence is None:
        return given
    return given | {"fence_row": fence.locked(job), "tables": job.tables}


def recorded(
    filled: Statement[None], table: str, job: Job, fence: Fence | None
) -> Statement[Chunk]:
    """Read what a chunk did, and roll it back if the lease is lost or the fence is broken."""
    statement = filled.one(Chunk).expect(1, missing=LeaseLost()).label(table)
    if fence is None:
        return statement
    return statement.ensure({"fenced": raw_sql("true")}, raises=partial(fence.broken, job))
