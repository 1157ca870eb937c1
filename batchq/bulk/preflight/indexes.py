# SPDX-License-Identifier: MIT
"""Whether the indexes are there that find the next rows of a chunk, and tell parents apart.

A chunk begins behind the last row of the one before. That finds every row once if none has NULL in
its order key, as few as it asks for if no two have one, and quickly if an index has that order.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from batchq.bulk.backfill import Backfill
from batchq.bulk.chunks.order_key import NULLS, OrderKey
from batchq.bulk.chunks.stages import Stage
from batchq.bulk.preflight.catalog import Catalog, Index
from batchq.bulk.preflight.findings import Finding, FindingCode, create_index, of_column
from batchq.bulk.tree import DeleteTree
from batchq.engine.compile.quoting import identifier
from batchq.language.batch import Batch

_ORDERED = {"btree": (0, 3), "prefix": (2, 1)}
"""The methods that have an order, and the options of a column up and down, NULLs as they usually
come there: in CockroachDB, whose method is ``prefix``, before all others."""


def unfit(work: DeleteTree | Backfill, catalog: Catalog) -> Iterator[Finding]:
    """Find order keys that no index has, or that no chunk could begin behind."""
    for one in work.stages:
        yield from _order(_swept(one), catalog)
        yield from _unfit(one.order_key, catalog)


def ambiguous(tree: DeleteTree, catalog: Catalog) -> Iterator[Finding]:
    """Find parents of which several may have one key."""
    below = (children.parent for one in tree.stages for children in one.path)
    for table, key in dict.fromkeys((one.table, one.key) for one in (tree.parent, *below)):
        if catalog.column(table, key) is None:
            continue
        unique = (
            one.unique and one.valid and one.predicate is None and one.columns == [key]
            for one in catalog.indexes_of(table)
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
class _Swept:
    """A pass, as it looks for rows."""

    table: str
    by: tuple[str, ...]
    """The column that is compared with the parent's key; none, where there is no parent."""
    order: tuple[str, ...]
    fixed: frozenset[str]
    """Columns that are compared with one value: an index may have them anywhere."""
    living: str | None
    """The tombstone, where only the living are swept."""


def _swept(one: Stage | Backfill) -> _Swept:
    if isinstance(one, Backfill):
        return _Swept(table=one.table, by=(), order=one.order, fixed=frozenset(), living=None)
    children, many = one.relation, (list, tuple, Batch)
    return _Swept(
        table=one.table,
        by=(children.by,),
        order=tuple(name for name in one.order if name != children.by),
        fixed=frozenset(
            name
            for name, value in children.where.items()
            if value is not None and not isinstance(value, many)
        ),
        living=children.deleted_at if one.living else None,
    )


def _order(swept: _Swept, catalog: Catalog) -> Iterator[Finding]:
    wanted = (*swept.by, *swept.order)
    if any(catalog.column(swept.table, name) is None for name in wanted):
        return
    indexes = catalog.indexes_of(swept.table)
    what = f"({', '.join(wanted)})"
    unique = any(_tells_apart(index, swept) for index in indexes)
    ddl = create_index(catalog, swept.table, wanted, unique=not unique)
    flaws = [(index, _flaw(index, swept)) for index in indexes if _leads(index, swept)]
    if all(flaw for _, flaw in flaws):
        name, detail, remedy = "", f"it has no index that begins with {what}", ddl
        if flaws:
            index, flaw = flaws[0]
            name, detail = index.name, f"it is the only one that begins with {what}, and {flaw}"
            remedy = ddl if index.valid else f"REINDEX INDEX CONCURRENTLY {name};"
        yield Finding(
            code=FindingCode.NO_INDEX, table=swept.table, name=name, detail=detail, remedy=remedy
        )
    if not unique:
        detail = f"no unique index, over all the rows that go, says that {what} is unique"
        yield Finding(code=FindingCode.NOT_UNIQUE, table=swept.table, detail=detail, remedy=ddl)


def _unfit(key: OrderKey, catalog: Catalog) -> Iterator[Finding]:
    """Find columns that a chunk would refuse to begin behind, in its words."""
    for one in sorted(catalog.unfit[key]):
        column = catalog.column(key.table, one.name)
        if column is None:
            continue  # of the system's own, which is said of what is not there
        if one.flaw == NULLS:
            yield of_column(FindingCode.NULLABLE, column, one.detail, "SET NOT NULL")
        else:
            remedy = "say order=… of other columns, the primary key to begin with"
            yield Finding(
                code=FindingCode.INVALID_ORDER_KEY,
                table=key.table,
                name=one.name,
                detail=one.detail,
                remedy=remedy,
            )


def _leads(index: Index, swept: _Swept) -> bool:
    """Whether it begins with the parent's key and the order key."""
    wanted = [*swept.by, *swept.order]
    columns = [name for name in index.columns if name not in swept.fixed or name in wanted]
    return columns[: len(wanted)] == wanted


def _flaw(index: Index, swept: _Swept) -> str | None:
    """Why an index with the right columns is none for these rows."""
    if not index.valid:
        return "it is not valid: it was not built to its end"
    if index.method not in _ORDERED:
        return f"it is a {index.method} index, which has no order"
    if not _has_all(index, swept):
        return f"it is partial: WHERE {index.predicate}"
    places = [index.columns.index(name) for name in (*swept.by, *swept.order)]
    if not all(index.usual[place] for place in places):
        return "its operator class or collation is not what the column has"
    runs = {index.options[place] for place in places[len(swept.by) :]}
    up, down = _ORDERED[index.method]
    if runs - {up} and runs - {down}:
        return "its columns do not all run one way, with NULLs where they usually are"
    return None


def _tells_apart(index: Index, swept: _Swept) -> bool:
    """Whether no two of the rows have one order key, by this index."""
    within = {*swept.by, *swept.order, *swept.fixed}
    listed = bool(index.columns) and within.issuperset(index.columns)
    return index.unique and index.valid and listed and _has_all(index, swept)


def _has_all(index: Index, swept: _Swept) -> bool:
    """Whether all the rows that go are in the index."""
    if index.predicate is None or swept.living is None:
        return index.predicate is None
    # The server quotes a name where it has to, and CockroachDB writes no parentheses.
    names = (swept.living, identifier(swept.living))
    living = [f"{name} IS NULL" for name in names]
    return index.predicate in [*living, *(f"({one})" for one in living)]
