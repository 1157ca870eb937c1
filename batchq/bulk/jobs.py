# SPDX-License-Identifier: MIT
"""Jobs: what is left to delete under which parent, and how far it has come.

The row is where a long delete lives: whoever claims it, in whatever process, goes on with it. Every
write carries the epoch of the owner's claim and the number of the chunk before it, so that no chunk
is counted twice and whoever has lost the lease changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from uuid import UUID

from attrs import field, fields, frozen

from batchq.bulk.chunks.subquery import columns, embed, quoted
from batchq.bulk.errors import AlreadyFenced, LeaseLost
from batchq.bulk.job import VERSION, Backlog, Job
from batchq.bulk.job_table import ddl, once
from batchq.engine.compile.quoting import check_table
from batchq.language.batch import Batch
from batchq.language.builders import insert, select, update, written
from batchq.language.inputs import Condition
from batchq.language.mapping import Raises
from batchq.language.matchers import unique
from batchq.language.statement import Statement
from batchq.language.violation import Violation

if TYPE_CHECKING:
    from attrs import Attribute

PASSES = 3
"""How often a job is begun again for rows that were found at the end, before it is stuck."""


def _table(_: object, __: Attribute[str], name: str) -> None:
    check_table(name, "Jobs")


@frozen
class Jobs:
    """The table of jobs.

    >>> Jobs(table="bulk_job").ddl().startswith('CREATE TABLE IF NOT EXISTS "bulk_job"')
    True
    """

    table: str = field(default="bulk_job", validator=_table)

    def ddl(self) -> str:
        """Write the DDL of the table, for a migration of yours."""
        return ddl(self.table)

    def insert(self, job: UUID, name: str, root: str, twice: Raises) -> Statement[None]:
        """Leave a job behind that is of no parent.

        :param twice: what it means that there is one already which is not finished.
        """
        row = {"id": job, "tree": name, "version": VERSION, "root": root, "generation": 0}
        return insert(self.table, row).on(unique(once(self.table)), twice)

    def fence(self, job: UUID, tree: str, told: Statement[None], missing: Raises) -> Batch[None]:
        """Leave a job behind for a parent that is hidden.

        :param told: selects its key as text, its generation, and the tables.
        :param missing: what it means that it finds none.
        :raises AlreadyFenced: by the server, when a job of an earlier fence is not finished.
        """
        text, values = embed(told, "told")
        leaving = written(
            _FENCE.format(table=quoted(self.table), told=text),
            **values,
            job=job,
            tree=tree,
            version=VERSION,
        )

        def earlier(violation: Violation) -> AlreadyFenced:
            return AlreadyFenced(tree, violation.row["id"])

        one = leaving.expect(1, missing=missing)
        return one.ensure({"id": job}, raises=earlier).label(f"insert {self.table}")

    def read(self, job: UUID) -> Statement[Job | None]:
        """Read one job."""
        return select(self.table, where={"id": job}).maybe(Job)

    def all(self, tree: str) -> Statement[list[Job]]:
        """Read a tree's jobs: those that have not ended, the oldest first, then the others."""
        return written(_told(_ALL, self.table), tree=tree).all(Job)

    def backlog(self, tree: str) -> Statement[Backlog]:
        """Count a tree's jobs."""
        return written(_told(_BACKLOG, self.table), tree=tree).one(Backlog)

    def waiting(self, tree: str, but: list[UUID], most: int) -> Statement[list[Job]]:
        """Read a tree's jobs that nobody holds, the oldest first.

        :param but: jobs that are not wanted again.
        """
        text = _told(_WAITING, self.table)
        return written(text, tree=tree, version=VERSION, but=but, most=most).all(Job)

    def unknown(self, tree: str) -> Statement[int]:
        """Count a tree's jobs of another version."""
        others = written("version <> %(version)s AND phase = 'drain'", version=VERSION)
        return select(self.table, ["id"], where=[{"tree": tree}, others]).count()

    def claim(
        self, job: Job, owner: str, lease: timedelta, expected: int | None
    ) -> Statement[Job | None]:
        """Become the owner of a job, unless somebody was faster or it has ended meanwhile.

        Whoever claims may wait for another's step. Then the server looks at these conditions again,
        on the row as that step has left it.

        :param expected: how many rows it has in all, as far as one knows.
        """
        holding = {
            "owner": owner,
            "epoch": job.epoch + 1,
            "lease_until": _until(lease),
            "expected": expected,
        }
        free: list[Condition] = [{**self._of_owner(job), "version": VERSION}, written(_FREE)]
        return update(self.table, holding, where=free).maybe(Job)

    def keep(self, job: Job, lease: timedelta) -> Statement[int]:
        """Have the lease begin anew, between two steps."""
        kept = update(self.table, {"lease_until": _until(lease)}, self._of_owner(job)).count()
        return kept.expect(1, missing=LeaseLost())

    def step(self, job: Job, changes: Mapping[str, object]) -> Statement[Job]:
        """Write down a step that deletes nothing."""
        changed = {"seq": job.seq + 1, **changes}
        where = {**self._of_owner(job), "seq": job.seq}
        return update(self.table, changed, where=where).one(Job).expect(1, missing=LeaseLost())

    def done(self, job: Job) -> Statement[Job]:
        """End a job."""
        return self.step(job, {"phase": "done", "lease_until": None, "last_error": None})

    def again(self, job: Job, why: str) -> Statement[Job]:
        """Begin a job again for what was found at the end of it.

        :param why: what it is stuck for, when that has happened too often.
        """
        if job.passes == PASSES:
            return self.stick(job, why)
        return self.step(job, {**_ANEW, "passes": job.passes + 1})

    def once_more(self, job: Job) -> Statement[Job]:
        """Begin a job again for rows that were passed over, which others have locked."""
        return self.step(job, {**_ANEW, "passes": job.passes})

    def stick(self, job: Job, why: str) -> Statement[Job]:
        """Leave a job to people: nobody claims it until somebody says :meth:`retry`."""
        stuck = {"phase": "stuck", "lease_until": None, "owner": None, "last_error": why}
        return self.step(job, stuck)

    def retry(self, job: UUID) -> Statement[int]:
        """Let a job be claimed again, from the start: one that is stuck, once what it is stuck for
        is mended, or one that nobody holds and that cannot go on from where it is.

        A chunk that is still on its way writes down nothing: the number of steps is another.

        :return: 1, or 0 where it has ended, somebody holds it, or there is none.
        """
        free = written(f"phase = 'stuck' OR phase = 'drain' AND cursor IS NOT NULL AND ({_FREE})")
        again = {**_ANEW, "seq": written("seq + 1")}
        return update(self.table, again, where=[{"id": job}, free]).count()

    def adopt(self, job: Job, now: Statement[None]) -> Statement[int]:
        """Let a stuck job be claimed again, with its parent as it is now.

        :param now: selects the parent's generation and the tables; nothing where it may not be.
        """
        text, values = embed(now, "now")
        looked_at = {"job": job.id, "seq": job.seq, "epoch": job.epoch}
        adopting = _ADOPT.format(table=quoted(self.table), now=text)
        return written(adopting, **values, **looked_at).count()

    def abandon(self, job: UUID) -> Statement[int]:
        """End a job for good: nothing more is deleted by it, and its parent may be fenced again.

        Whoever holds it changes nothing any more: the epoch is another. The parent stays as it is,
        and so do the children that are left.

        :return: 1, or 0 where it has ended already or there is none.
        """
        ended = {
            "phase": "abandoned",
            "epoch": written("epoch + 1"),
            "lease_until": None,
            "owner": None,
        }
        unfinished = written("phase IN ('drain', 'stuck')")
        return update(self.table, ended, where=[{"id": job}, unfinished]).count()

    def leave(self, job: Job, why: str | None) -> Statement[int]:
        """Let others have it now and not when the lease ends; no matter if they have it already.

        :param why: what went wrong, for people who look at the table.
        """
        left = {"lease_until": None, "owner": None, "last_error": why}
        return update(self.table, left, self._of_owner(job)).count()

    def _of_owner(self, job: Job) -> dict[str, object]:
        return {"id": job.id, "epoch": job.epoch, "phase": "drain"}


_ANEW = {
    "phase": "drain",
    "child": 0,
    "cursor": None,
    "cursor_of": None,
    "rows_pass": 0,
    "passes": 0,
    "passed_over": False,
}
"""What is set of a job that begins again."""


def _until(lease: timedelta) -> Statement[None]:
    return written("now() + %(lease)s", lease=lease)


_FENCE = """\
INSERT INTO {table} AS job (id, tree, version, root, generation, tables)
SELECT %(job)s, %(tree)s, %(version)s, told.root, told.generation, told.tables
FROM ({told}) AS told
ON CONFLICT (tree, root) WHERE phase IN ('drain', 'stuck') DO UPDATE SET tree = job.tree
RETURNING job.id"""
"""Where there is one already, it is that one which comes back, and the whole is undone for it."""
_ADOPT = """\
UPDATE {table} AS job SET generation = now.generation, tables = now.tables,
    phase = 'drain', child = 0, cursor = NULL, cursor_of = NULL, rows_pass = 0, passes = 0,
    passed_over = false
FROM ({now}) AS now
WHERE job.id = %(job)s AND job.seq = %(seq)s AND job.epoch = %(epoch)s AND job.phase = 'stuck'"""
_FREE = "lease_until IS NULL OR lease_until < now()"
_WAITING = """\
SELECT {columns} FROM {table}
WHERE phase = 'drain' AND tree = %(tree)s AND version = %(version)s AND id <> ALL(%(but)s::uuid[])
  AND ({free})
ORDER BY created_at, id LIMIT %(most)s"""
_ALL = """\
SELECT {columns} FROM {table} WHERE tree = %(tree)s
ORDER BY phase IN ('done', 'abandoned'), created_at, id"""
_BACKLOG = """\
SELECT count(*) FILTER (WHERE phase = 'drain' AND NOT held) AS waiting,
    count(*) FILTER (WHERE phase = 'drain' AND held) AS held,
    count(*) FILTER (WHERE phase = 'stuck') AS stuck,
    count(*) FILTER (WHERE phase = 'done') AS done,
    count(*) FILTER (WHERE phase = 'abandoned') AS abandoned,
    coalesce(sum(rows_done), 0)::bigint AS rows_done,
    now() - min(created_at) FILTER (WHERE phase = 'drain') AS oldest
FROM (SELECT *, coalesce(lease_until >= now(), false) AS held FROM {table}) AS job
WHERE tree = %(tree)s"""


@lru_cache(maxsize=64)
def _told(text: str, table: str) -> str:
    names = tuple(f.name for f in fields(Job))
    return text.format(columns=columns(names), table=quoted(table), free=_FREE)
