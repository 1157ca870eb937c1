# SPDX-License-Identifier: MIT
"""List the parts of a source: what stands in the place of values, columns and conditions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from batchq.language.syntax import (
    Compared,
    Conditions,
    Delete,
    Expr,
    Insert,
    RawSql,
    Select,
    Update,
)

Built = Insert | Update | Delete | Select
"""A source that a builder has made."""


def cells_of(source: Built) -> Sequence[Expr | str]:
    """Return what stands in the place of values and of columns, without the conditions."""
    match source:
        case Insert(cells=cells, conflict=on):
            return cells if on is None else (*cells, *on.cells)
        case Update(cells=cells):
            return cells
        case Delete():
            return ()
        case Select():
            return (*(source.columns or ()), *(key.column for key in source.order))


def conditions_of(source: Built) -> Conditions:
    """Return the conditions on the rows of the source's table."""
    if not isinstance(source, Insert):
        return source.where
    return () if source.conflict is None else source.conflict.where


def selects_in(source: Built) -> Iterator[Select]:
    """Yield the selects whose rows the source takes."""
    if isinstance(source, Insert) and source.query is not None:
        yield source.query
    join = source.join if isinstance(source, Update | Delete) else None
    if join is not None and isinstance(join.table, Select):
        yield join.table


def operands_of(where: Conditions) -> Iterator[Expr | str]:
    """Yield what columns are compared with, and fragments that are conditions by themselves."""
    for condition in (where,) if isinstance(where, RawSql) else where:
        test = condition if isinstance(condition, RawSql) else condition[1]
        yield test.operand if isinstance(test, Compared) else test
