# SPDX-License-Identifier: MIT
"""Why a tree should not be drained as its tables are, in words: reason, place and remedy.

Why before: what is found out on the way is a job that is stuck behind its fence, or a chunk that
reads a whole table each time.
"""

from __future__ import annotations

from enum import Enum

from attrs import frozen

from batchq.bulk.preflight.catalog import Catalog, Column
from batchq.engine.compile.quoting import identifier, quoted


class FindingCode(Enum):
    """What is wrong, or may be."""

    NO_JOB_TABLE = "there is no table of jobs"
    WRONG_JOB_TABLE = "the table of jobs is not as this library writes it"
    NO_TABLE = "there is no such table"
    NO_COLUMN = "there is no such column"
    WRONG_COLUMN = "the column cannot hold what is set"
    NO_FENCE = "there are too many rows for one batch, and the parent cannot be hidden"
    NO_INDEX = "no index finds the next rows, so every chunk would search for them"
    NOT_UNIQUE = "rows of one order key all go in one chunk, however many they are"
    KEY_NOT_UNIQUE = "several parents may have one key, so nobody can say whose the children are"
    NULLABLE = "a row without an order key is behind no other, so no chunk would find it"
    INVALID_ORDER_KEY = (
        "the key has no text that leads back to it, so no chunk could begin behind it"
    )
    CASCADE = "a chunk would change any number of rows that nobody declared"
    STILL_REFERS = "rows that are only hidden refer to rows that are to be deleted"
    UNINDEXED = "whoever refers to a deleted row would be searched for in a whole table"
    ROW_SECURITY = "policies hide rows from this role, so it cannot say that none is left"
    RULE = "a rule rewrites what a chunk does, so rows may stay, or the server refuses it"
    CYCLE = "tables refer to each other, so none of them can go first"
    REJECTED = "the server refuses the statement"
    MAY_REFER = "rows that nobody declared may refer to rows that are deleted, which then fails"
    TRIGGER = "a trigger is fired for every row"


@frozen(kw_only=True)
class Finding:
    """One reason not to begin, or a warning."""

    code: FindingCode
    table: str
    name: str = ""
    """The index, the constraint, the column or the trigger; empty where there is none."""
    detail: str
    remedy: str
    """The DDL to run or the Python to write. To begin with: read it first."""

    def lines(self) -> list[str]:
        """Say it in a few lines."""
        name = f" {self.name}" if self.name else ""
        head = f"{self.code.name} {self.table}{name}: {self.detail}"
        return [head, *(f"    {line}" for line in self.remedy.splitlines())]


def of_column(code: FindingCode, column: Column, detail: str, change: str) -> Finding:
    """Refuse a column as it is; ``change`` is what to alter."""
    alter = f"ALTER TABLE {quoted(column.table)} ALTER COLUMN {identifier(column.name)} {change};"
    return Finding(code=code, table=column.table, name=column.name, detail=detail, remedy=alter)


def create_index(catalog: Catalog, table: str, columns: tuple[str, ...], *, unique: bool) -> str:
    """Write the DDL of an index; a partitioned table's cannot be made beside its writers."""
    relation = catalog.relation(table)
    beside = "" if relation is not None and relation.kind == "p" else "CONCURRENTLY "
    names = ", ".join(map(identifier, columns))
    kind = "UNIQUE INDEX" if unique else "INDEX"
    return f"CREATE {kind} {beside}ON {quoted(table)} ({names});"
