# SPDX-License-Identifier: MIT
"""Find tables and columns that are missing, or of a type that cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from batchq.bulk.backfill import Backfill
from batchq.bulk.preflight.catalog import Catalog
from batchq.bulk.preflight.findings import Finding, FindingCode, column_finding
from batchq.bulk.table_task import TableTask
from batchq.bulk.tree import DeleteTree
from batchq.engine.compile.quoting import identifier, quoted
from batchq.patterns.hierarchy import Parent


class NamedColumn(NamedTuple):
    """A column that a task names."""

    table: str
    column: str
    role: str
    definition: str = ""
    """How to add it; empty if that is unknown."""


_DELETED_AT = "the column for soft deletes"
_GENERATION = "the generation"


def find_missing(task: DeleteTree | TableTask, catalog: Catalog) -> Iterator[Finding]:
    """Find tables and columns that do not exist."""
    for named in _named(task):
        relation = catalog.relation(named.table)
        if relation is None:
            yield _no_table(named.table)
        elif not relation.is_table:
            kind = _KINDS.get(relation.kind, "something else")
            yield Finding(
                code=FindingCode.NO_TABLE,
                table=named.table,
                detail=f"it is {kind}, and chunks need the order and the locks of a table",
                remedy="name a table in Python",
            )
        elif catalog.column(named.table, named.column) is None:
            remedy = (
                f"ALTER TABLE {quoted(named.table)} ADD COLUMN {identifier(named.column)} "
                f"{named.definition};"
            )
            if not named.definition:
                existing = [found.name for found in catalog.columns if found.table == named.table]
                remedy = f"name another one in Python: it has {', '.join(map(repr, existing))}"
            yield Finding(
                code=FindingCode.NO_COLUMN,
                table=named.table,
                name=named.column,
                detail=f"it does not exist; it is named as {named.role}",
                remedy=remedy,
            )


_KINDS = {
    "v": "a view",
    "m": "a materialized view",
    "f": "a foreign table",
    "S": "a sequence",
    "i": "an index",
}


def _no_table(table: str) -> Finding:
    schema, _, name = table.rpartition(".")
    if schema:
        detail = f"the schema {schema!r} has no table {name!r}, or does not exist"
        remedy = "CREATE TABLE …;\nor name another one in Python"
    else:
        detail = "the search path leads to no such table"
        remedy = f"SET search_path = …;\nor name its schema, as in {'public.' + table!r}"
    return Finding(code=FindingCode.NO_TABLE, table=table, detail=detail, remedy=remedy)


def find_wrong_columns(task: DeleteTree | TableTask, catalog: Catalog) -> Iterator[Finding]:
    """Find columns whose type or constraint rules out what they are used for."""
    for named in _named(task):
        column = catalog.column(named.table, named.column)
        if column is None:
            continue
        if named.role == _DELETED_AT and not column.nullable:
            detail = "it is NOT NULL, and must be NULL in rows that are not soft-deleted"
            yield column_finding(FindingCode.WRONG_COLUMN, column, detail, "DROP NOT NULL")
        elif named.role == _GENERATION and not column.numeric:
            detail = f"it is of type {column.type}, and a generation is incremented"
            change = f"TYPE bigint USING {identifier(column.name)}::bigint"
            yield column_finding(FindingCode.WRONG_COLUMN, column, detail, change)


def _named(task: DeleteTree | TableTask) -> list[NamedColumn]:
    """List the columns that a task names, each with its role."""
    if isinstance(task, TableTask):
        changed = task.set if isinstance(task, Backfill) else ()
        named = [NamedColumn(task.table, name, "part of the order key") for name in task.order]
        return named + [NamedColumn(task.table, name, "what is set") for name in changed]
    named = _of_parent(task.parent)
    for stage in task.stages:
        for relation in stage.path[1:]:
            named += _of_parent(relation.parent)
    for stage in task.stages:
        table, children = stage.table, stage.relation
        if children.deleted_at is not None:
            named.append(NamedColumn(table, children.deleted_at, _DELETED_AT, "timestamptz"))
        named.append(NamedColumn(table, children.by, f"the key of {children.parent.table!r}"))
        named += [NamedColumn(table, name, "part of the order key") for name in stage.order]
        named += [
            NamedColumn(table, name, "a condition on these children") for name in children.where
        ]
        named += [NamedColumn(table, name, "what is set") for name, _ in stage.changes or ()]
    return named


def _of_parent(parent: Parent) -> list[NamedColumn]:
    named = [
        NamedColumn(parent.table, parent.key, "the key"),
        NamedColumn(parent.table, parent.generation, _GENERATION, "bigint NOT NULL DEFAULT 0"),
    ]
    if parent.deleted_at is not None:
        named.append(NamedColumn(parent.table, parent.deleted_at, _DELETED_AT, "timestamptz"))
    return named
