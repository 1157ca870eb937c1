# SPDX-License-Identifier: MIT
"""Whether tables and columns are as a tree needs them: there, and of a type that serves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from batchq.bulk.backfill import Backfill
from batchq.bulk.preflight.catalog import Catalog
from batchq.bulk.preflight.findings import Finding, FindingCode, of_column
from batchq.bulk.tree import DeleteTree
from batchq.engine.compile.quoting import identifier, quoted
from batchq.patterns.hierarchy import Parent


class Named(NamedTuple):
    """A column that is named."""

    table: str
    column: str
    role: str
    definition: str = ""
    """What to add, where that can be said."""


_TOMBSTONE = "the tombstone"
_GENERATION = "the generation"


def missing(work: DeleteTree | Backfill, catalog: Catalog) -> Iterator[Finding]:
    """Find what is not there: tables and columns."""
    for named in _named(work):
        relation = catalog.relation(named.table)
        if relation is None or relation.kind not in ("r", "p"):
            detail = "the search path leads to none" if relation is None else "this is not a table"
            remedy = f"SET search_path = …;\nor name its schema, as in {'public.' + named.table!r}"
            yield Finding(
                code=FindingCode.NO_TABLE, table=named.table, detail=detail, remedy=remedy
            )
        elif catalog.column(named.table, named.column) is None:
            remedy = (
                f"ALTER TABLE {quoted(named.table)} ADD COLUMN {identifier(named.column)} "
                f"{named.definition};"
            )
            if not named.definition:
                there = [one.name for one in catalog.columns if one.table == named.table]
                remedy = f"say another in Python: it has {', '.join(map(repr, there))}"
            yield Finding(
                code=FindingCode.NO_COLUMN,
                table=named.table,
                name=named.column,
                detail=f"it has none of this name, which is {named.role}",
                remedy=remedy,
            )


def wrong_columns(work: DeleteTree | Backfill, catalog: Catalog) -> Iterator[Finding]:
    """Find columns that are there, but do not serve."""
    for named in _named(work):
        column = catalog.column(named.table, named.column)
        if column is None:
            continue
        if named.role == _TOMBSTONE and not column.nullable:
            detail = "it is NOT NULL: a row lives while its tombstone is NULL"
            yield of_column(FindingCode.WRONG_COLUMN, column, detail, "DROP NOT NULL")
        elif named.role == _GENERATION and not column.numeric:
            detail = f"it is of type {column.type}: a generation is counted up"
            change = f"TYPE bigint USING {identifier(column.name)}::bigint"
            yield of_column(FindingCode.WRONG_COLUMN, column, detail, change)


def _named(work: DeleteTree | Backfill) -> list[Named]:
    """Every column that is named, the first role first."""
    if isinstance(work, Backfill):
        named = [Named(work.table, name, "part of the order key") for name in work.order]
        return named + [Named(work.table, name, "what is set") for name in work.set]
    named = _of_parent(work.parent)
    for one in work.stages:
        for below in one.path[1:]:
            named += _of_parent(below.parent)
    for one in work.stages:
        table, children = one.table, one.relation
        if children.deleted_at is not None:
            named.append(Named(table, children.deleted_at, _TOMBSTONE, "timestamptz"))
        named.append(Named(table, children.by, f"the key of {children.parent.table!r}"))
        named += [Named(table, name, "part of the order key") for name in one.order]
        named += [Named(table, name, "what makes it such a child") for name in children.where]
        named += [Named(table, name, "what is set") for name, _ in one.sets or ()]
    return named


def _of_parent(parent: Parent) -> list[Named]:
    named = [
        Named(parent.table, parent.key, "the key"),
        Named(parent.table, parent.generation, _GENERATION, "bigint NOT NULL DEFAULT 0"),
    ]
    if parent.deleted_at is not None:
        named.append(Named(parent.table, parent.deleted_at, _TOMBSTONE, "timestamptz"))
    return named
