# SPDX-License-Identifier: MIT
"""The statements that read and write the job table.

A long delete lives in its job's row, so any process that claims the job can continue it. Each write
names the epoch of its claim and the number of the step before it. Therefore no chunk is counted
twice, and a worker that has lost its lease changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING
from uuid import UUID

from attrs import field, fields, frozen

from batchq.bulk.errors import JobExists, LeaseLost, NoJobTable
from batchq.bulk.job import VERSION, Job, QueueStats, checked_job
from batchq.bulk.job_table import ddl, unfinished_key
from batchq.engine.compile.quoting import check_table, listed, quoted
from batchq.language.argument_types import checked, checked_job_id
from batchq.language.batch import Batch
from batchq.language.builders import insert, raw_sql
from batchq.language.changes import update
from batchq.language.errors import BatchError
from batchq.language.inputs import Condition
from batchq.language.mapping import Raises
from batchq.language.matchers import unique
from batchq.language.missing_table import missing_table
from batchq.language.selects import select
from batchq.language.sql_template import SqlTemplate, sql_template
from batchq.language.statement import Statement
from batchq.language.violation import Violation

if TYPE_CHECKING:
    from attrs import Attribute

MAX_RESTARTS = 3
"""How often a job is restarted for rows that are left after its last stage, until it is stuck."""
_TASK_EXAMPLE = "TREE.name"


def _table(_: object, __: Attribute[str], name: str) -> None:
    check_table(name, "Jobs")


@frozen
class Jobs:
    """The job table.

    >>> Jobs(table="bulk_job").ddl().startswith('CREATE TABLE IF NOT EXISTS "bulk_job"')
    True
    """

    table: str = field(default="bulk_job", validator=_table)

    def ddl(self) -> str:
        """Write the DDL of the table, to be run by a migration of yours."""
        return ddl(self.table)

    def create(self, job: UUID, task: str, root: str, exists: Raises) -> Statement[None]:
        """Insert a job that has no parent.

        :param exists: the error if there is an unfinished one already.
        """
        row = {"id": job, "task": task, "version": VERSION, "root": root, "generation": 0}
        inserted = insert(self.table, row).on(missing_table(self.table), NoJobTable(self.table))
        return inserted.on(unique(unfinished_key(self.table)), exists)

    def no_job_table(self, error: Exception) -> NoJobTable | None:
        """Return the error to raise if a step failed because the job table does not exist."""
        violation = error.violation if isinstance(error, BatchError) else None
        if violation is None or not missing_table(self.table).matches(violation):
            return None
        return NoJobTable(self.table)

    def create_fenced(
        self, job: UUID, task: str, parent: Statement[None], missing: Raises
    ) -> Batch[None]:
        """Insert a job for a parent that is hidden.

        :param parent: selects the parent's key as text, its generation, and the tables.
        :param missing: the error if it selects no row.
        :raises NoJobTable: by the server, if the job table does not exist.
        :raises JobExists: by the server, if a job of an earlier fence is not finished.
        """
        inserted = self._create_fenced.fill(parent=parent, job=job, task=task, version=VERSION)

        def exists(violation: Violation) -> JobExists:
            return JobExists(task, violation.row["id"])

        inserted = inserted.on(missing_table(self.table), NoJobTable(self.table))
        statement = inserted.expect(1, missing=missing).ensure({"id": job}, raises=exists)
        return statement.label(f"insert {self.table}")

    def get(self, job: UUID) -> Statement[Job | None]:
        """Read one job."""
        checked_job_id("get", job)
        return select(self.table, where={"id": job}).maybe(Job)

    def all(self, task: str) -> Statement[list[Job]]:
        """Read all jobs of a task: unfinished ones first, each group by age."""
        checked("all", "task", task, str, _TASK_EXAMPLE)
        return _select(_ALL, self.table).fill(task=task).all(Job)

    def stats(self, task: str) -> Statement[QueueStats]:
        """Count the jobs of a task."""
        checked("stats", "task", task, str, _TASK_EXAMPLE)
        return _select(_STATS, self.table).fill(task=task).one(QueueStats)

    def claimable(self, task: str, exclude: list[UUID], limit: int) -> Statement[list[Job]]:
        """Read jobs of a task that no worker holds, the oldest first."""
        claimable = _select(_CLAIMABLE, self.table)
        return claimable.fill(task=task, version=VERSION, exclude=exclude, limit=limit).all(Job)

    def other_versions(self, task: str) -> Statement[int]:
        """Count active jobs that were written by another version of batchq."""
        others = raw_sql("version <> %(version)s AND phase = 'active'", version=VERSION)
        return select(self.table, ["id"], where=[{"task": task}, others]).count()

    def claim(
        self, job: Job, owner: str, lease: timedelta, expected: int | None
    ) -> Statement[Job | None]:
        """Take the lease of a job; None if another worker was faster or the job has ended.

        The statement may wait for another worker's step. The server then evaluates these conditions
        again, on the row as that step has left it.

        :param expected: the planner's estimate of all its rows.
        """
        changes = {
            "owner": owner,
            "epoch": job.epoch + 1,
            "lease_until": _until(lease),
            "expected": expected,
        }
        free: list[Condition] = [{**self._claimed(job), "version": VERSION}, raw_sql(_FREE)]
        return update(self.table, changes, where=free).maybe(Job)

    def renew_lease(self, job: Job, lease: timedelta) -> Statement[int]:
        """Restart the lease, between two steps."""
        renewed = update(self.table, {"lease_until": _until(lease)}, self._claimed(job)).count()
        return renewed.expect(1, missing=LeaseLost())

    def advance(self, job: Job, changes: Mapping[str, object]) -> Statement[Job]:
        """Record a step that deletes nothing."""
        changed = {"seq": job.seq + 1, **changes}
        where = {**self._claimed(job), "seq": job.seq}
        return update(self.table, changed, where=where).one(Job).expect(1, missing=LeaseLost())

    def mark_done(self, job: Job) -> Statement[Job]:
        """End a job that has nothing left to do."""
        return self.advance(job, {"phase": "done", "lease_until": None, "last_error": None})

    def restart(self, job: Job, reason: str) -> Statement[Job]:
        """Restart a job from its first stage, because rows are left after its last one.

        :param reason: recorded if it has been restarted too often and is now stuck.
        """
        if job.restarts == MAX_RESTARTS:
            return self.mark_stuck(job, reason)
        return self.advance(job, {**_FROM_START, "restarts": job.restarts + 1})

    def rescan(self, job: Job, cursor: list[str] | None = None) -> Statement[Job]:
        """Restart a job for locked rows that were skipped; this counts as no restart.

        :param cursor: where the scan starts, in the order of the last one; None for the order key.
        """
        key = None if cursor is None else job.cursor_key
        again = {"restarts": job.restarts, "cursor": cursor, "cursor_key": key}
        return self.advance(job, {**_FROM_START, **again})

    def mark_stuck(self, job: Job, reason: str) -> Statement[Job]:
        """Mark a job as stuck: it is not claimed again until :meth:`retry`."""
        stuck = {"phase": "stuck", "lease_until": None, "owner": None, "last_error": reason}
        return self.advance(job, stuck)

    def retry(self, job: UUID) -> Statement[int]:
        """Make a job claimable again, from its first stage.

        For a stuck job whose ``last_error`` is fixed, or one that no worker holds and that cannot
        continue from its cursor. A chunk that is still being executed fails: ``seq`` is another.

        :return: 1; 0 if the job has ended, is held by a worker, or does not exist.
        """
        checked_job_id("retry", job)
        free = raw_sql(f"phase = 'stuck' OR phase = 'active' AND cursor IS NOT NULL AND ({_FREE})")
        changes = {**_FROM_START, "seq": raw_sql("seq + 1")}
        return update(self.table, changes, where=[{"id": job}, free]).count()

    def adopt(self, job: Job, parent: Statement[None]) -> Statement[int]:
        """Make a stuck job claimable again, with its parent and tables as they are now.

        :param parent: selects the parent's generation and the tables; no row if it may not be.
        """
        job = checked_job(job)
        adopted = sql_template(_ADOPT, table=quoted(self.table))
        return adopted.fill(parent=parent, job=job.id, seq=job.seq, epoch=job.epoch).count()

    def abandon(self, job: UUID) -> Statement[int]:
        """End a job for good; then its parent can be fenced again.

        A worker that holds the job changes nothing any more, because the epoch is another. The
        parent and the children that are left stay as they are.

        :return: 1; 0 if the job has ended or does not exist.
        """
        checked_job_id("abandon", job)
        ended = {
            "phase": "abandoned",
            "epoch": raw_sql("epoch + 1"),
            "lease_until": None,
            "owner": None,
        }
        unfinished = raw_sql("phase IN ('active', 'stuck')")
        return update(self.table, ended, where=[{"id": job}, unfinished]).count()

    def release(self, job: Job, last_error: str | None) -> Statement[int]:
        """Release the lease early; no-op if it is already lost."""
        released = {"lease_until": None, "owner": None, "last_error": last_error}
        return update(self.table, released, self._claimed(job)).count()

    @cached_property
    def _create_fenced(self) -> SqlTemplate:
        return sql_template(_CREATE_FENCED, table=quoted(self.table))

    def _claimed(self, job: Job) -> dict[str, object]:
        return {"id": job.id, "epoch": job.epoch, "phase": "active"}


_FROM_START = {
    "phase": "active",
    "stage": 0,
    "cursor": None,
    "cursor_key": None,
    "scan_rows": 0,
    "restarts": 0,
    "skipped_locked": False,
}


def _until(lease: timedelta) -> Statement[None]:
    return raw_sql("now() + %(lease)s", lease=lease)


_CREATE_FENCED = """\
INSERT INTO {table} AS job (id, task, version, root, generation, tables)
SELECT %(job)s, %(task)s, %(version)s, parent.root, parent.generation, parent.tables
FROM ({parent}) AS parent
ON CONFLICT (task, root) WHERE phase IN ('active', 'stuck') DO UPDATE SET task = job.task
RETURNING job.id"""
"""If there is an unfinished job, its id is returned instead, and the check of the id fails."""
_ADOPT = """\
UPDATE {table} AS job SET generation = parent.generation, tables = parent.tables,
    phase = 'active', stage = 0, cursor = NULL, cursor_key = NULL, scan_rows = 0, restarts = 0,
    skipped_locked = false
FROM ({parent}) AS parent
WHERE job.id = %(job)s AND job.seq = %(seq)s AND job.epoch = %(epoch)s AND job.phase = 'stuck'"""
_FREE = "lease_until IS NULL OR lease_until < now()"
_CLAIMABLE = """\
SELECT {columns} FROM {table}
WHERE phase = 'active' AND task = %(task)s AND version = %(version)s
  AND id <> ALL(%(exclude)s::uuid[]) AND ({free})
ORDER BY created_at, id LIMIT %(limit)s"""
_ALL = """\
SELECT {columns} FROM {table} WHERE task = %(task)s
ORDER BY phase IN ('done', 'abandoned'), created_at, id"""
_STATS = """\
SELECT count(*) FILTER (WHERE phase = 'active' AND NOT leased) AS claimable,
    count(*) FILTER (WHERE phase = 'active' AND leased) AS leased,
    count(*) FILTER (WHERE phase = 'stuck') AS stuck,
    count(*) FILTER (WHERE phase = 'done') AS done,
    count(*) FILTER (WHERE phase = 'abandoned') AS abandoned,
    coalesce(sum(rows_done), 0)::bigint AS rows_done,
    now() - min(created_at) FILTER (WHERE phase = 'active') AS oldest_age
FROM (SELECT *, coalesce(lease_until >= now(), false) AS leased FROM {table}) AS job
WHERE task = %(task)s"""


@lru_cache(maxsize=64)
def _select(text: str, table: str) -> SqlTemplate:
    names = tuple(f.name for f in fields(Job))
    return sql_template(text, columns=listed(names), table=quoted(table), free=_FREE)
