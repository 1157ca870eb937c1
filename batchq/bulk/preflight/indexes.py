# SPDX-License-Identifier: MIT
"""Find order keys without a suitable index, and parents' keys that are not unique.

A chunk starts after the last row of the chunk before. Such a scan visits each row once if no row
has NULL in its order key; it reads as few rows as it asks for if the order key is unique; and it is
fast if an index has that order.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from batchq.bulk.chunks.order_key import NULLS, OrderKey
from batchq.bulk.chunks.stages import Stage
from batchq.bulk.preflight.catalog import Catalog, Index
from batchq.bulk.preflight.findings import Finding, FindingCode, column_finding, create_index
from batchq.bulk.table_task import TableTask
from batchq.bulk.tree import DeleteTree
from batchq.engine.compile.quoting import identifier
from batchq.language.batch import Batch

_ORDERED = {"btree": (0, 3), "prefix": (2, 1)}
"""The index methods that have an order, each with the options of a column that ascends and of one
that descends, with NULLs in their default place. In CockroachDB, whose method is ``prefix``, NULLs
come first."""


def find_order_errors(task: DeleteTree | TableTask, catalog: Catalog) -> Iterator[Finding]:
    """Find order keys without a suitable index, and columns that cannot be part of one."""
    for stage in task.stages:
        yield from _index_errors(_scan(stage), catalog)
        yield from _column_errors(stage.order_key, catalog)


def find_ambiguous_keys(tree: DeleteTree, catalog: Catalog) -> Iterator[Finding]:
    """Find parents whose key is not unique."""
    parents = (relation.parent for stage in tree.stages for relation in stage.path)
    keys = ((parent.table, parent.key) for parent in (tree.parent, *parents))
    for table, key in dict.fromkeys(keys):
        if catalog.column(table, key) is None:
            continue
        unique = (
            index.unique and index.valid and index.predicate is None and index.columns == [key]
            for index in catalog.indexes_of(table)
        )
        if not any(unique):
            yield Finding(
                code=FindingCode.KEY_NOT_UNIQUE,
                table=table,
                name=key,
                detail="it is the key by which children name their parent, but no unique index "
                "covers all rows, hidden ones included",
                remedy=create_index(catalog, table, (key,), unique=True),
            )


@frozen(kw_only=True)
class _Scan:
    """A stage, as it looks for rows."""

    table: str
    by: tuple[str, ...]
    """The column that is compared with the parent's key; empty if there is no parent."""
    order: tuple[str, ...]
    fixed: frozenset[str]
    """Columns that are compared with one value: an index may have them in any place."""
    deleted_at: str | None
    """The column for soft deletes, if soft-deleted rows are left out."""


def _scan(stage: Stage | TableTask) -> _Scan:
    if isinstance(stage, TableTask):
        return _Scan(
            table=stage.table, by=(), order=stage.order, fixed=frozenset(), deleted_at=None
        )
    children, many = stage.relation, (list, tuple, Batch)
    return _Scan(
        table=stage.table,
        by=(children.by,),
        order=tuple(name for name in stage.order if name != children.by),
        fixed=frozenset(
            name
            for name, value in children.where.items()
            if value is not None and not isinstance(value, many)
        ),
        deleted_at=children.deleted_at if stage.live_only else None,
    )


def _index_errors(scan: _Scan, catalog: Catalog) -> Iterator[Finding]:
    wanted = (*scan.by, *scan.order)
    if any(catalog.column(scan.table, name) is None for name in wanted):
        return
    indexes = catalog.indexes_of(scan.table)
    what = f"({', '.join(wanted)})"
    unique = any(_is_unique(index, scan) for index in indexes)
    ddl = create_index(catalog, scan.table, wanted, unique=not unique)
    flaws = [(index, _flaw(index, scan)) for index in indexes if _leads(index, scan)]
    if all(flaw for _, flaw in flaws):
        name, detail, remedy = "", f"no index starts with {what}", ddl
        if flaws:
            index, flaw = flaws[0]
            name, detail = index.name, f"it is the only index that starts with {what}, and {flaw}"
            remedy = ddl if index.valid else f"REINDEX INDEX CONCURRENTLY {name};"
        yield Finding(
            code=FindingCode.NO_INDEX, table=scan.table, name=name, detail=detail, remedy=remedy
        )
    if not unique:
        detail = f"no unique index over all these rows has {what}"
        yield Finding(code=FindingCode.NOT_UNIQUE, table=scan.table, detail=detail, remedy=ddl)


def _column_errors(key: OrderKey, catalog: Catalog) -> Iterator[Finding]:
    """Find columns that a chunk would reject, in the same words."""
    for invalid in sorted(catalog.invalid_columns[key]):
        column = catalog.column(key.table, invalid.name)
        if column is None:
            continue  # a system column, which is reported as missing
        if invalid.flaw == NULLS:
            yield column_finding(FindingCode.NULLABLE, column, invalid.detail, "SET NOT NULL")
        else:
            remedy = "order= other columns, such as the primary key"
            yield Finding(
                code=FindingCode.INVALID_ORDER_KEY,
                table=key.table,
                name=invalid.name,
                detail=invalid.detail,
                remedy=remedy,
            )


def _leads(index: Index, scan: _Scan) -> bool:
    """Return whether an index starts with the parent's key and the order key."""
    wanted = [*scan.by, *scan.order]
    columns = [name for name in index.columns if name not in scan.fixed or name in wanted]
    return columns[: len(wanted)] == wanted


def _flaw(index: Index, scan: _Scan) -> str | None:
    """Describe why an index with the right columns cannot be used; None if it can."""
    if not index.valid:
        return "it is invalid: its build was not completed"
    if index.method not in _ORDERED:
        return f"it is a {index.method} index, which has no order"
    if not _has_all(index, scan):
        return f"it is partial: WHERE {index.predicate}"
    places = [index.columns.index(name) for name in (*scan.by, *scan.order)]
    if not all(index.default[place] for place in places):
        return "its operator class or collation is not the column's default"
    runs = {index.options[place] for place in places[len(scan.by) :]}
    up, down = _ORDERED[index.method]
    if runs - {up} and runs - {down}:
        return "its columns do not all have the same direction, with NULLs in their default place"
    return None


def _is_unique(index: Index, scan: _Scan) -> bool:
    """Return whether this index makes the order key unique."""
    within = {*scan.by, *scan.order, *scan.fixed}
    listed = bool(index.columns) and within.issuperset(index.columns)
    return index.unique and index.valid and listed and _has_all(index, scan)


def _has_all(index: Index, scan: _Scan) -> bool:
    """Return whether an index holds all rows of the scan."""
    if index.predicate is None or scan.deleted_at is None:
        return index.predicate is None
    # The server quotes a name if necessary, and CockroachDB writes no parentheses.
    names = (scan.deleted_at, identifier(scan.deleted_at))
    living = [f"{name} IS NULL" for name in names]
    return index.predicate in [*living, *(f"({one})" for one in living)]
