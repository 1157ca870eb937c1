# SPDX-License-Identifier: MIT
"""Jobs: what is left to delete under which parent, and how far it has come.

The row is where a long delete lives: whoever claims it, in whatever process, goes on with it. Every
write carries the epoch of the owner's claim and the number of the chunk before it, so that no chunk
is counted twice and whoever has lost the lease changes nothing.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from uuid import UUID

from attrs import fields, frozen

from batchq.bulk.errors import LeaseLost
from batchq.engine.names import identifier, quoted
from batchq.language.builders import insert, select, update, written
from batchq.language.outputs import Output
from batchq.language.statement import Statement

VERSION = 1
"""Of the meaning of a job's columns. A job of another version is left for those who know it."""

_DDL = """\
CREATE TABLE IF NOT EXISTS {table} (
    id uuid NOT NULL,
    tree text NOT NULL,
    version int NOT NULL,
    root text NOT NULL,
    generation bigint NOT NULL,
    phase text NOT NULL DEFAULT 'drain',
    child int NOT NULL DEFAULT 0,
    cursor text,
    seq bigint NOT NULL DEFAULT 0,
    rows_done bigint NOT NULL DEFAULT 0,
    passes int NOT NULL DEFAULT 0,
    epoch bigint NOT NULL DEFAULT 0,
    owner text,
    lease_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_error text,
    CONSTRAINT {pkey} PRIMARY KEY (id),
    CONSTRAINT {once} UNIQUE (tree, root),
    CONSTRAINT {known} CHECK (phase IN ('drain', 'done', 'stuck'))
)"""


@frozen
class Job:
    """A job as it was read."""

    id: UUID
    tree: str
    version: int
    root: str
    """The parent's key, as text."""
    generation: int
    """The parent's generation when it was fenced."""
    phase: str
    child: int
    """Which kind of children is being drained; behind the last, the parent itself is due."""
    cursor: str | None
    """The order key of the last row of the last chunk, as text. None: from the beginning."""
    seq: int
    """How many steps were taken: what is written next says which one it follows."""
    rows_done: int
    passes: int
    """How often rows were found that had come behind the fence."""
    epoch: int
    """How often the job was claimed."""


@frozen
class Jobs:
    """The table of jobs.

    >>> Jobs(table="bulk_job").ddl().startswith('CREATE TABLE IF NOT EXISTS "bulk_job"')
    True
    """

    table: str = "bulk_job"

    def ddl(self) -> str:
        """Write the DDL of the table, for a migration of yours."""
        name = self.table.rpartition(".")[2]
        return _DDL.format(
            table=quoted(self.table),
            pkey=identifier(f"{name}_pkey"),
            once=identifier(f"{name}_tree_root_key"),
            known=identifier(f"{name}_phase_known"),
        )

    def insert(self, job: UUID, tree: str, root: str, generation: Output) -> Statement[None]:
        """Leave a job behind, in the batch that fences its parent."""
        row = {"id": job, "tree": tree, "version": VERSION, "root": root, "generation": generation}
        return insert(self.table, row).internal(f"{self.table.rpartition('.')[2]}_tree_root_key")

    def read(self, job: UUID) -> Statement[Job | None]:
        """Read one job."""
        return select(self.table, where={"id": job}).maybe(Job)

    def waiting(self, tree: str, but: list[UUID], most: int) -> Statement[list[Job]]:
        """Read a tree's jobs that nobody holds, the oldest first.

        :param but: jobs that are not wanted again.
        """
        text = _waiting(self.table)
        return written(text, tree=tree, version=VERSION, but=but, most=most).all(Job)

    def unknown(self, tree: str) -> Statement[int]:
        """Count a tree's jobs of another version."""
        others = written("version <> %(version)s AND phase = 'drain'", version=VERSION)
        return select(self.table, ["id"], where=[{"tree": tree}, others]).count()

    def claim(self, job: Job, owner: str, lease: timedelta) -> Statement[Job | None]:
        """Become the owner of a job, unless somebody was faster."""
        holding = {"owner": owner, "epoch": job.epoch + 1, "lease_until": _until(lease)}
        return update(self.table, holding, where={"id": job.id, "epoch": job.epoch}).maybe(Job)

    def step(self, job: Job, changes: dict[str, object]) -> Statement[Job]:
        """Write down a step that deletes nothing."""
        changed = {"seq": job.seq + 1, **changes}
        where = {"id": job.id, "epoch": job.epoch, "seq": job.seq}
        return update(self.table, changed, where=where).one(Job).expect(1, missing=LeaseLost())

    def leave(self, job: Job, why: str | None) -> Statement[int]:
        """Let others have it now and not when the lease ends; no matter if they have it already.

        :param why: what went wrong, for people who look at the table.
        """
        left = {"lease_until": None, "owner": None, "last_error": why}
        return update(self.table, left, where={"id": job.id, "epoch": job.epoch}).count()


def _until(lease: timedelta) -> Statement[None]:
    return written("now() + %(lease)s", lease=lease)


_WAITING = """\
SELECT {columns} FROM {table}
WHERE phase = 'drain' AND tree = %(tree)s AND version = %(version)s AND id <> ALL(%(but)s::uuid[])
  AND (lease_until IS NULL OR lease_until < now())
ORDER BY created_at, id LIMIT %(most)s"""


@lru_cache(maxsize=64)
def _waiting(table: str) -> str:
    columns = ", ".join(field.name for field in fields(Job))
    return _WAITING.format(columns=columns, table=quoted(table))
