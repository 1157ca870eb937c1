# SPDX-License-Identifier: MIT
"""Findings of the preflight: an error or a warning, with its place and a remedy.

Why before the start: otherwise the fence is committed, and then the job is stuck, or each chunk
reads a whole table.
"""

from __future__ import annotations

from enum import Enum

from attrs import frozen

from batchq.bulk.preflight.catalog import Catalog, Column
from batchq.engine.compile.quoting import identifier, quoted


class FindingCode(Enum):
    """The kinds of findings, each with its meaning."""

    NO_JOB_TABLE = "the job table does not exist"
    WRONG_JOB_TABLE = "the job table is not as Jobs.ddl() writes it"
    NO_TABLE = "the table does not exist"
    NO_COLUMN = "the column does not exist"
    WRONG_COLUMN = "the column cannot hold the values that are set"
    NO_PARENT = "no parent has this key, or it is soft-deleted: a start raises its missing="
    NO_FENCE = "there are too many rows for one batch, and the parent cannot be hidden"
    NO_INDEX = "no index finds the next rows, so each chunk would search for them"
    NOT_UNIQUE = "the order key is not unique: rows that share one are all deleted in one chunk"
    KEY_NOT_UNIQUE = "the parent's key is not unique, so it is unknown whose the children are"
    NULLABLE = "the order key may be NULL, and no chunk would find such a row"
    INVALID_ORDER_KEY = "the order key has no text that is read back as the same value"
    CASCADE = "a chunk would change any number of rows that are not part of the tree"
    STILL_REFERS = "rows that are only soft-deleted refer to rows that are deleted"
    UNINDEXED = "rows that refer to a deleted row would be searched for in a whole table"
    ROW_SECURITY = "policies hide rows from this role, so it cannot be known that none is left"
    RULE = "a rule rewrites what a chunk does: rows may stay, or the server rejects the chunk"
    CYCLE = "tables refer to each other, so none of them can be deleted first"
    REJECTED = "the server rejects the statement"
    MAY_REFER = "rows that are not part of the tree may refer to deleted rows; then a chunk fails"
    TRIGGER = "a trigger is fired for each row"


@frozen(kw_only=True)
class Finding:
    """One error or warning."""

    code: FindingCode
    table: str
    name: str = ""
    """The index, constraint, column or trigger; empty if there is none."""
    detail: str
    remedy: str
    """The DDL to run or the Python to write. It is a suggestion: read it first."""

    def lines(self) -> list[str]:
        """Format the finding in a few lines."""
        name = f" {self.name}" if self.name else ""
        head = f"{self.code.name} {self.table}{name}: {self.detail}"
        return [head, *(f"    {line}" for line in self.remedy.splitlines())]


def column_finding(code: FindingCode, column: Column, detail: str, change: str) -> Finding:
    """Make a finding about a column; ``change`` is the end of the ALTER COLUMN that fixes it."""
    alter = f"ALTER TABLE {quoted(column.table)} ALTER COLUMN {identifier(column.name)} {change};"
    return Finding(code=code, table=column.table, name=column.name, detail=detail, remedy=alter)


def create_index(catalog: Catalog, table: str, columns: tuple[str, ...], *, unique: bool) -> str:
    """Write the DDL of an index; that of a partitioned table cannot be built CONCURRENTLY."""
    relation = catalog.relation(table)
    partitioned = relation is not None and relation.kind == "p"
    concurrently = "" if partitioned else "CONCURRENTLY "
    names = ", ".join(map(identifier, columns))
    kind = "UNIQUE INDEX" if unique else "INDEX"
    return f"CREATE {kind} {concurrently}ON {quoted(table)} ({names});"
