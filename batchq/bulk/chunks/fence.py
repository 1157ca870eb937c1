# SPDX-License-Identifier: MIT
"""The fence: what must be true of the parent whenever one of its children is deleted.

The parent's row exists, is hidden, and has the generation at which it was fenced; and each table is
the one that it was then. A restore changes the parent's row. Therefore each delete of children
locks that row FOR SHARE first, in the same statement: it waits for a restore that is under way and
then finds the fence broken, and a later restore waits for it.
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import NamedTuple

from attrs import frozen

from batchq.bulk.errors import FenceBroken
from batchq.bulk.job import Job
from batchq.engine.compile.quoting import identifier, literal, quoted
from batchq.language.batch import Batch
from batchq.language.builders import raw_sql
from batchq.language.changes import delete
from batchq.language.inputs import Condition
from batchq.language.local_settings import ALL_ROWS, changed, kept, with_settings
from batchq.language.selects import select
from batchq.language.sql_template import SqlTemplate, sql_template
from batchq.language.statement import Statement
from batchq.language.violation import Violation
from batchq.patterns.hierarchy import Parent

CANONICAL = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
}
"""Settings under which the text of a value is complete, and is read back as that value under any
others (PostgreSQL documentation, "Locale and Formatting", "Statement Behavior")."""

ROOT = "SELECT batchq_root FROM batchq_fence"
"""The parent's key, inside a chunk."""

_SNAPSHOT = """\
WITH batchq_parent AS MATERIALIZED (
    {parent}
), batchq_canonical AS MATERIALIZED (
    SELECT root, generation, CASE WHEN kept IS NOT NULL THEN {changed} END AS changed
    FROM batchq_parent
)
SELECT CASE WHEN changed IS NOT NULL THEN root::text END AS root, generation, {tables} AS tables
FROM batchq_canonical"""
"""The parent is found under the caller's settings, which its key may depend on; its key is written
under :data:`CANONICAL`. The row of each part exists before the next part is evaluated."""
_DIAGNOSIS = """\
SELECT parent.generation, parent.live, {same_tables} AS same_tables
FROM (SELECT 1) AS always LEFT JOIN (
    SELECT {generation} AS generation, {deleted_at} IS NULL AS live FROM {table}
    WHERE {key} = %(root)s
) AS parent ON true"""
_OR_OTHER_TABLES = """\
SELECT {key} FROM ({left}) AS batchq_left UNION ALL SELECT NULL WHERE NOT ({same_tables})"""


class Diagnosis(NamedTuple):
    """The state of a parent whose fence is broken."""

    generation: int | None
    """None if there is no such row."""
    live: bool | None
    same_tables: bool
    """Whether the tables are those that were fenced."""


@frozen
class Fence:
    """The fence of a tree."""

    parent: Parent
    tables: tuple[str, ...]
    """The parent's table and its children's. A name may resolve to another table later."""

    def snapshot(self, key: object) -> Statement[None]:
        """Select what a job stores of a hidden parent: key, generation, tables.

        It leaves the settings :data:`CANONICAL` in force: see
        :func:`~batchq.language.local_settings.put_back`.

        :param key: as the caller has written it.
        """
        where: list[Condition] = [{self.parent.key: key}, self._is_hidden]
        return self._snapshot.fill(parent=select(self.parent.table, self._stored, where=where))

    def locked(self, job: Job) -> Statement[None]:
        """Select the parent for a chunk, to be locked; no row is found if the fence is broken."""
        root = raw_sql(f"{identifier(self.parent.key)} AS batchq_root")
        return select(self.parent.table, [root], where=self._fenced(job))

    @cached_property
    def same_tables(self) -> SqlTemplate:
        """The condition that the tables are those of the value ``tables``.

        A statement evaluates it once more after everything else that it reads. No lock keeps a
        schema from being renamed while the server looks up one table after the other; the last
        look-up finds a rename between two of them.
        """
        # These are constants, which the server looks up together with the tables.
        return sql_template("{oids} = %(tables)s::oid[]", oids=self._oids)

    def or_other_tables(self, left: Statement[None], key: str, job: Job) -> Statement[None]:
        """Select a key of the rows that are left, or NULL if these are other tables."""
        query = sql_template(_OR_OTHER_TABLES, key=identifier(key), same_tables=self.same_tables)
        return query.fill(left=left, tables=job.tables)

    def delete_parent(self, job: Job) -> Statement[None]:
        """Delete the parent of a job, which is locked; it finds no row if the fence is broken."""
        return delete(self.parent.table, where=self._fenced(job)).label(self.parent.table)

    def lock(self, job: Job) -> Statement[None]:
        """Lock the parent of a job FOR UPDATE, and fail if the fence is broken."""
        parent = select(self.parent.table, where=self._fenced(job)).for_update()
        return parent.expect(1, missing=partial(self.broken, job)).label(self.parent.table)

    def current(self, job: Job) -> Statement[None]:
        """Select the generation and the tables of a job's hidden parent as they are now."""
        columns = [
            raw_sql(f"{identifier(self.parent.generation)} AS generation"),
            raw_sql(f"{self._oids} AS tables"),
        ]
        where: list[Condition] = [{self.parent.key: job.root}, self._is_hidden]
        return select(self.parent.table, columns, where=where)

    def broken(self, job: Job, _: Violation | None = None) -> FenceBroken:
        """Return the error for a job whose fence is broken, whatever has found that."""
        return FenceBroken(job.root, self._diagnose(job))

    def _diagnose(self, job: Job) -> Batch[str]:
        """Return a batch that describes why the fence is broken."""
        diagnosis = sql_template(
            _DIAGNOSIS,
            generation=identifier(self.parent.generation),
            deleted_at=identifier(str(self.parent.deleted_at)),
            table=quoted(self.parent.table),
            key=identifier(self.parent.key),
            same_tables=self.same_tables,
        )
        parent = diagnosis.fill(root=job.root, tables=job.tables).one(Diagnosis)
        labeled = parent.label(self.parent.table)
        return with_settings(ALL_ROWS, labeled).map(lambda diagnosis: _describe(job, diagnosis))

    def _fenced(self, job: Job) -> list[Condition]:
        parent = {self.parent.key: job.root, self.parent.generation: job.generation}
        return [parent, self._is_hidden, self.same_tables.fill(tables=job.tables)]

    @cached_property
    def _snapshot(self) -> SqlTemplate:
        return sql_template(_SNAPSHOT, changed=changed(CANONICAL), tables=self._oids)

    @cached_property
    def _stored(self) -> list[Statement[None]]:
        """The columns from which a snapshot is made."""
        return [
            raw_sql(f"{identifier(self.parent.key)} AS root"),
            raw_sql(f"{identifier(self.parent.generation)} AS generation"),
            raw_sql(f"{kept(CANONICAL)} AS kept"),
        ]

    @cached_property
    def _is_hidden(self) -> Statement[None]:
        return raw_sql(f"{identifier(str(self.parent.deleted_at))} IS NOT NULL")

    @cached_property
    def _oids(self) -> str:
        names = ", ".join(f"{literal(quoted(table))}::regclass" for table in self.tables)
        return f"ARRAY[{names}]::oid[]"


def _describe(job: Job, diagnosis: Diagnosis) -> str:
    if not diagnosis.same_tables:
        return (
            "the names resolve to other tables than those that were fenced: another search path, "
            "another table of that name, or the same tables in a restored database; "
            "DeleteTree.adopt() accepts these"
        )
    if diagnosis.generation is None:
        return (
            "the parent's row was deleted, and children that are left are orphans; Jobs.abandon() "
            "ends the job"
        )
    if diagnosis.live:
        return (
            "the parent was restored, and keeps the children that are left; Jobs.abandon() ends "
            "the job, and then the parent can be fenced again"
        )
    if diagnosis.generation != job.generation:
        return (
            f"the parent is hidden, but at generation {diagnosis.generation} and not "
            f"{job.generation}: it was restored and hidden again; DeleteTree.adopt() accepts it as "
            f"it is now"
        )
    return (
        "the parent could not be locked as it was fenced, although it is unchanged now: it was "
        "changed in between, or a policy hides it from this role; Jobs.retry() tries it again"
    )
