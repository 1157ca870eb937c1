# SPDX-License-Identifier: MIT
"""Whether tables are as a tree needs them: there, with these columns, and indexed by the order key.

A chunk begins behind the last row of the one before. That finds every row once if none has NULL in
its order key, as few as it asks for if no two have one, and quickly if an index has that order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from attrs import frozen

from batchq.bulk.planning.catalog import Catalog, Index
from batchq.bulk.planning.refusals import Reason, Refusal, create_index, of_column
from batchq.bulk.rewrite import Rewrite
from batchq.bulk.sweeping.keys import NULLS, OrderKey
from batchq.bulk.sweeping.passes import Pass
from batchq.bulk.tree import Tree
from batchq.engine.compile.quoting import identifier, quoted
from batchq.language.batch import Batch
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
_UNFINISHED = "(phase = ANY (ARRAY['drain'::text, 'stuck'::text]))"
"""As PostgreSQL writes the predicate of the index that keeps a second job out."""
_ONE_OF = re.compile(r"\W*phase\W+(?:=\W+ANY|IN)\b(.*)", re.DOTALL)
"""As that does, and as CockroachDB may: ``phase IN ('drain':::STRING, 'stuck':::STRING)``."""
_ORDERED = {"btree": (0, 3), "prefix": (2, 1)}
"""The methods that have an order, and the options of a column up and down, NULLs as they usually
come there: in CockroachDB, whose method is ``prefix``, before all others."""


def missing(work: Tree | Rewrite, catalog: Catalog) -> Iterator[Refusal]:
    """Find what is not there: tables, columns, the table of jobs."""
    yield from _jobs(work, catalog)
    for named in _named(work):
        relation = catalog.relation(named.table)
        if relation is None or relation.kind not in ("r", "p"):
            why = "the search path leads to none" if relation is None else "this is not a table"
            remedy = f"SET search_path = …;\nor name its schema, as in {'public.' + named.table!r}"
            yield Refusal(reason=Reason.NO_TABLE, table=named.table, why=why, remedy=remedy)
        elif catalog.column(named.table, named.column) is None:
            remedy = (
                f"ALTER TABLE {quoted(named.table)} ADD COLUMN {identifier(named.column)} "
                f"{named.definition};"
            )
            if not named.definition:
                there = [one.name for one in catalog.columns if one.table == named.table]
                remedy = f"say another in Python: it has {', '.join(map(repr, there))}"
            yield Refusal(
                reason=Reason.NO_COLUMN,
                table=named.table,
                name=named.column,
                why=f"it has none of this name, which is {named.role}",
                remedy=remedy,
            )


def unfit(work: Tree | Rewrite, catalog: Catalog) -> Iterator[Refusal]:
    """Find what is there, but does not serve: columns and indexes."""
    for named in _named(work):
        column = catalog.column(named.table, named.column)
        if column is None:
            continue
        if named.role == _TOMBSTONE and not column.nullable:
            why = "it is NOT NULL: a row lives while its tombstone is NULL"
            yield of_column(Reason.WRONG_COLUMN, column, why, "DROP NOT NULL")
        elif named.role == _GENERATION and not column.numeric:
            why = f"it is of type {column.type}: a generation is counted up"
            change = f"TYPE bigint USING {identifier(column.name)}::bigint"
            yield of_column(Reason.WRONG_COLUMN, column, why, change)
    for one in work.passes:
        yield from _order(_swept(one), catalog)
        yield from _unfit(one.order_key, catalog)


# -- tables and columns ----------------------------------------------------------------------------


def _jobs(work: Tree | Rewrite, catalog: Catalog) -> Iterator[Refusal]:
    table, ddl = work.jobs.table, work.jobs.ddl()
    if catalog.relation(table) is None:
        why = "the search path leads to none"
        yield Refusal(reason=Reason.NO_JOBS, table=table, why=why, remedy=ddl)
        return
    alter = f"ALTER TABLE {quoted(table)}"
    for one in catalog.lacking:
        if one.there:
            why, remedy = (
                f"it is not of type {one.type}",
                f"ALTER COLUMN {one.name} TYPE {one.type}",
            )
        else:
            why, remedy = "it has no such column", f"ADD COLUMN {one.name} {one.definition}"
        remedy = f"{alter} {remedy};"
        yield Refusal(reason=Reason.OTHER_JOBS, table=table, name=one.name, why=why, remedy=remedy)
    for columns, partial, remedy in (
        (["id"], False, f"{alter} ADD PRIMARY KEY (id);"),
        (["tree", "root"], True, ddl[ddl.index("CREATE UNIQUE INDEX") :]),
    ):
        if not any(
            one.unique
            and one.valid
            and one.columns == columns
            and (_is_unfinished(one.predicate) if partial else one.predicate is None)
            for one in catalog.indexes_of(table)
        ):
            only = f" WHERE {_UNFINISHED}" if partial else ""
            why = f"it has no unique index ({', '.join(columns)}){only}: a job would be there twice"
            yield Refusal(reason=Reason.OTHER_JOBS, table=table, why=why, remedy=remedy)


def _is_unfinished(predicate: str | None) -> bool:
    """Whether an index has just the jobs that are not finished."""
    listed = _ONE_OF.fullmatch(predicate or "")
    return listed is not None and sorted(re.findall(r"'(\w+)'", listed[1])) == ["drain", "stuck"]


def _named(work: Tree | Rewrite) -> list[Named]:
    """Every column that is named, the first role first."""
    if isinstance(work, Rewrite):
        named = [Named(work.table, name, "part of the order key") for name in work.order]
        return named + [Named(work.table, name, "what is set") for name in work.set]
    named = _of_parent(work.parent)
    for one in work.passes:
        for below in one.reach[1:]:
            named += _of_parent(below.parent)
    for one in work.passes:
        table, children = one.table, one.children
        if children.tombstone is not None:
            named.append(Named(table, children.tombstone, _TOMBSTONE, "timestamptz"))
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
    if parent.tombstone is not None:
        named.append(Named(parent.table, parent.tombstone, _TOMBSTONE, "timestamptz"))
    return named


# -- indexes ---------------------------------------------------------------------------------------


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


def _swept(one: Pass | Rewrite) -> _Swept:
    if isinstance(one, Rewrite):
        return _Swept(table=one.table, by=(), order=one.order, fixed=frozenset(), living=None)
    children, many = one.children, (list, tuple, Batch)
    return _Swept(
        table=one.table,
        by=(children.by,),
        order=tuple(name for name in one.order if name != children.by),
        fixed=frozenset(
            name
            for name, value in children.where.items()
            if value is not None and not isinstance(value, many)
        ),
        living=children.tombstone if one.living else None,
    )


def _order(swept: _Swept, catalog: Catalog) -> Iterator[Refusal]:
    wanted = (*swept.by, *swept.order)
    if any(catalog.column(swept.table, name) is None for name in wanted):
        return
    indexes = catalog.indexes_of(swept.table)
    what = f"({', '.join(wanted)})"
    unique = any(_tells_apart(index, swept) for index in indexes)
    ddl = create_index(catalog, swept.table, wanted, unique=not unique)
    flaws = [(index, _flaw(index, swept)) for index in indexes if _leads(index, swept)]
    if all(flaw for _, flaw in flaws):
        name, why, remedy = "", f"it has no index that begins with {what}", ddl
        if flaws:
            index, flaw = flaws[0]
            name, why = index.name, f"it is the only one that begins with {what}, and {flaw}"
            remedy = ddl if index.valid else f"REINDEX INDEX CONCURRENTLY {name};"
        yield Refusal(reason=Reason.NO_INDEX, table=swept.table, name=name, why=why, remedy=remedy)
    if not unique:
        why = f"no unique index, over all the rows that go, says that {what} is unique"
        yield Refusal(reason=Reason.NOT_UNIQUE, table=swept.table, why=why, remedy=ddl)


def _unfit(key: OrderKey, catalog: Catalog) -> Iterator[Refusal]:
    """Find columns that a chunk would refuse to begin behind, in its words."""
    for one in sorted(catalog.unfit[key]):
        column = catalog.column(key.table, one.name)
        if column is None:
            continue  # of the system's own, which is said of what is not there
        if one.flaw == NULLS:
            yield of_column(Reason.NULLABLE, column, one.why, "SET NOT NULL")
        else:
            remedy = "say order=… of other columns, the primary key to begin with"
            yield Refusal(
                reason=Reason.NO_PLACE,
                table=key.table,
                name=one.name,
                why=one.why,
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
