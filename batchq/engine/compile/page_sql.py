# SPDX-License-Identifier: MIT
"""Write the page of a select: ORDER BY, LIMIT, and the condition for the rows after another one.

NULL is not less or greater than anything, so a sort key that may be NULL is compared in three ways.
For one that is declared without NULL a row comparison suffices, by which an index finds the first
row of the page. PostgreSQL documentation, "Row and Array Comparisons".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from batchq.engine.compile.numbering import Numbering
from batchq.engine.compile.parameter_places import Place
from batchq.engine.compile.quoting import identifier, quoted
from batchq.language.syntax import RawSql, Select, SortKey

_Compared = tuple[SortKey, str, str]
"""A sort key, its column, and the parameter with the value in the row before."""


def page_of(n: Numbering, source: Select, fragment: Callable[[RawSql], str]) -> str:
    """Return the ORDER BY and the LIMIT of a select; empty if it has neither.

    :param fragment: writes a fragment of the user's.
    """
    # ORDER BY "name" is by an output column of that name, if there is one, and not by the table's.
    has_fragment = any(isinstance(column, RawSql) for column in source.columns or ())
    prefix = f"{quoted(source.table)}." if has_fragment else ""
    keys: list[str] = []
    for key in source.order:
        if isinstance(key.column, RawSql):
            name = f"({fragment(key.column)})"
        else:
            name = prefix + identifier(key.column)
        direction = " DESC" if key.descending else ""
        # What the default is differs between servers.
        keys.append(name + direction + (f" NULLS {key.nulls}" if key.nulls else ""))
    order = f" ORDER BY {', '.join(keys)}" if keys else ""
    if not source.limited:
        return order
    return f"{order} LIMIT {n.parameter(Place.BUILT_IN)}::pg_catalog.int8"


def rows_after(n: Numbering, source: Select) -> str:
    """Return the condition for the rows that come after another one in the order of a select."""
    checks = ""
    compared: list[_Compared] = []
    for key in source.order:
        column = str(key.column)
        check, _ = n.compare(source.table, column, Place.COMPARED, _operator(key))
        checks += check
        compared.append((key, identifier(column), n.latest))
    runs = [list(run) for _, run in groupby(compared, _run_of)]
    return f"{checks}({_after(runs)})"


def _run_of(compared: _Compared) -> object:
    """Return what neighbours of one row comparison have in common."""
    key, _, parameter = compared
    return key.descending if key.nulls is None else parameter


def _after(runs: Sequence[Sequence[_Compared]]) -> str:
    first, *others = runs
    key = first[0][0]
    if key.nulls is not None:
        return _after_nullable(*first[0], others)
    columns = _row([column for _, column, _ in first])
    values = _row([parameter for _, _, parameter in first])
    operator = _operator(key)
    after = f"{columns} {operator} {values}"
    if not others:
        return after
    return f"{columns} {operator}= {values} AND ({after} OR ({_after(others)}))"


def _after_nullable(
    key: SortKey, column: str, value: str, others: Sequence[Sequence[_Compared]]
) -> str:
    null, not_null = (column, value) if key.nulls == "LAST" else (value, column)
    after = f"{column} {_operator(key)} {value} OR {null} IS NULL AND {not_null} IS NOT NULL"
    if not others:
        return after
    return f"{after} OR {column} IS NOT DISTINCT FROM {value} AND ({_after(others)})"


def _operator(key: SortKey) -> str:
    return "<" if key.descending else ">"


def _row(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"({', '.join(items)})"
