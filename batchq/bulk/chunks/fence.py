# SPDX-License-Identifier: MIT
"""The fence: what has to hold of the parent whenever one of its children goes.

Its row is there, still hidden, and at the generation at which it was fenced; and each table is the
one that it was then. Whoever brings the parent back changes its row. So whoever deletes a child
locks that row first, in the same statement, FOR SHARE: he waits for a restore that is under way and
then finds that the fence has moved, and a restore that comes later waits for him.
"""

from __future__ import annotations

from typing import NamedTuple

from attrs import frozen

from batchq.bulk.chunks.subquery import column, embed, quoted
from batchq.bulk.errors import FenceBroken
from batchq.bulk.job import Job
from batchq.engine.compile.quoting import identifier, literal
from batchq.engine.compile.quoting import quoted as quoted_table
from batchq.language.batch import Batch
from batchq.language.builders import delete, raw_sql, select
from batchq.language.inputs import Condition
from batchq.language.local_settings import ALL_ROWS, changed, kept, with_settings
from batchq.language.statement import Statement
from batchq.patterns.hierarchy import Parent

CANONICAL = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
}
"""Settings under which a value's text says all of it, and is read as that value under any others
(PostgreSQL documentation, "Locale and Formatting", "Statement Behavior")."""

ROOT = "SELECT batchq_root FROM batchq_fence"
"""The parent's key, in a chunk."""

_TOLD = """\
WITH batchq_found AS MATERIALIZED (
    {found}
), batchq_plain AS MATERIALIZED (
    SELECT root, generation, CASE WHEN kept IS NOT NULL THEN {changed} END AS changed
    FROM batchq_found
)
SELECT CASE WHEN changed IS NOT NULL THEN root::text END AS root, generation, {tables} AS tables
FROM batchq_plain"""
"""The key is found under the caller's settings, by which it may be read, and written under plain
ones. A row of each part is there before the next is evaluated."""
_SEEN = """\
SELECT parent.generation, parent.lives, {same} AS same
FROM (SELECT 1) AS always LEFT JOIN (
    SELECT {generation} AS generation, {deleted_at} IS NULL AS lives FROM {table}
    WHERE {key} = %(root)s
) AS parent ON true"""
_LOOKED = """\
SELECT {key} FROM ({left}) AS batchq_left UNION ALL SELECT NULL WHERE NOT ({same})"""
_WAY_ON = "Jobs.abandon() ends the job, and then the parent can be fenced again"


class Seen(NamedTuple):
    """How a parent is found when its fence does not hold."""

    generation: int | None
    """None where it is not found."""
    lives: bool | None
    same: bool
    """Whether the tables are those that were fenced."""


@frozen
class Fence:
    """The fence of a tree."""

    parent: Parent
    tables: tuple[str, ...]
    """The parent's and all that are swept: a name may lead to another one later."""

    def told(self, key: object) -> Statement[None]:
        """Select what a job remembers of a parent that is hidden: key, generation, tables.

        It leaves the settings :data:`CANONICAL` behind: see
        :func:`~batchq.language.local_settings.put_back`.

        :param key: as its caller says it.
        """
        named = [
            raw_sql(f"{identifier(self.parent.key)} AS root"),
            raw_sql(f"{identifier(self.parent.generation)} AS generation"),
            raw_sql(f"{kept(CANONICAL)} AS kept"),
        ]
        conditions: list[Condition] = [{self.parent.key: key}, self._hidden()]
        found, values = embed(select(self.parent.table, named, where=conditions), "found")
        text = _TOLD.format(
            found=found, changed=changed(CANONICAL), tables=self._tables().replace("%", "%%")
        )
        return raw_sql(text, **values)

    def held(self, job: Job) -> tuple[str, dict[str, object]]:
        """Write the part of a chunk that locks the parent, and finds none if the fence has moved.

        :return: the text, and its parameters.
        """
        root = raw_sql(f"{identifier(self.parent.key)} AS batchq_root")
        rows = select(self.parent.table, [root], where=self._fenced(job))
        text, values = embed(rows, "fence")
        return f"{text} FOR SHARE", {**values, "tables": job.tables}

    def same(self) -> str:
        """Write the condition that the tables are those that ``tables`` holds, a parameter.

        It stands once more behind all else that a statement reads. A schema may be renamed while
        the server looks up one table after the other, which no lock keeps it from: whoever renames
        it between two of them is found out by what is looked up last.
        """
        # Constants, which the server looks up when it does the tables.
        return f"{self._tables().replace('%', '%%')} = %(tables)s::oid[]"

    def looked(self, left: Statement[None], key: str, job: Job) -> Statement[None]:
        """Select a key of what a last look finds, or NULL where it has looked elsewhere."""
        text, values = embed(left, "left")
        looking = _LOOKED.format(left=text, key=column(key), same=self.same())
        return raw_sql(looking, **values, tables=job.tables)

    def remove(self, job: Job) -> Statement[None]:
        """Delete the parent of a job, which is locked; none is found if the fence has moved."""
        return delete(self.parent.table, where=self._fenced(job)).label(self.parent.table)

    def lock(self, job: Job) -> Statement[None]:
        """Lock the parent of a job against everybody, or fail where the fence has moved."""
        moved = self.moved(job)
        parent = select(self.parent.table, where=self._fenced(job)).for_update()
        return parent.expect(1, missing=lambda _: moved).label(self.parent.table)

    def now(self, job: Job) -> Statement[None]:
        """Select generation and tables as they are now, of a job's parent that is hidden."""
        named = [
            raw_sql(f"{identifier(self.parent.generation)} AS generation"),
            raw_sql(f"{self._tables()} AS tables"),
        ]
        return select(self.parent.table, named, where=[{self.parent.key: job.root}, self._hidden()])

    def moved(self, job: Job) -> FenceBroken:
        """Make the error that says that the fence does not hold."""
        return FenceBroken(job.root, self._look(job))

    def _look(self, job: Job) -> Batch[str]:
        """Find out why the fence does not hold, in words for whoever looks at the job."""
        text = _SEEN.format(
            generation=column(self.parent.generation),
            deleted_at=column(str(self.parent.deleted_at)),
            table=quoted(self.parent.table),
            key=column(self.parent.key),
            same=self.same(),
        )
        looking = raw_sql(text, root=job.root, tables=job.tables).one(Seen)
        return with_settings(ALL_ROWS, looking.label(self.parent.table)).map(
            lambda seen: _why(job, seen)
        )

    def _fenced(self, job: Job) -> list[Condition]:
        parent = {self.parent.key: job.root, self.parent.generation: job.generation}
        return [parent, self._hidden(), raw_sql(self.same(), tables=job.tables)]

    def _hidden(self) -> Statement[None]:
        return raw_sql(f"{identifier(str(self.parent.deleted_at))} IS NOT NULL")

    def _tables(self) -> str:
        names = ", ".join(f"{literal(quoted_table(table))}::regclass" for table in self.tables)
        return f"ARRAY[{names}]::oid[]"


def _why(job: Job, seen: Seen) -> str:
    if not seen.same:
        return (
            "the names lead to other tables than those that were fenced: another search path, "
            "another table of that name, or the same in a restored database; Tree.adopt() says "
            "that these are meant"
        )
    if seen.generation is None:
        return (
            "the parent is gone: somebody removed its row, and children that are left are "
            "nobody's; Jobs.abandon() ends the job"
        )
    if seen.lives:
        return f"the parent lives again, and keeps the children that are left; {_WAY_ON}"
    if seen.generation != job.generation:
        return (
            f"the parent is hidden, but at generation {seen.generation} and not {job.generation}: "
            f"somebody brought it back and hid it again; Tree.adopt() says that it is to go as it "
            f"is now"
        )
    return (
        "the parent could not be locked as it was fenced, though it looks so now: it has changed "
        "meanwhile, or a policy keeps it from this role; Jobs.retry() tries it again"
    )
