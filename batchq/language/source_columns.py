# SPDX-License-Identifier: MIT
"""Reject a column of the other table where there is none, or where that has no such column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from batchq.language.errors import InvalidBatch
from batchq.language.guards import Requirement, When
from batchq.language.syntax import (
    Compared,
    Conditions,
    Delete,
    Insert,
    Join,
    RawSql,
    Select,
    Source,
    Update,
)


def check_source_columns(source: Source, requirements: Iterable[Requirement]) -> None:
    """Reject each ``source()`` that the statement cannot evaluate.

    :raises InvalidBatch: without another table, for a column that its select does not have, and in
        a condition on rows that are returned, which come from one table.
    """
    if isinstance(source, RawSql):
        return
    join = source.join if isinstance(source, Update | Delete) else None
    used = list(chain.from_iterable(map(_columns_in, _fragments(source))))
    for requirement in requirements:
        columns = [each for text in _texts(requirement.test) for each in _columns_in(text)]
        if columns and requirement.when is When.AFTER:
            raise InvalidBatch(
                f"{requirement.call}(): the row that is returned has no source({columns[0]!r}); "
                f"write .require({{…}}) instead"
            )
        used += columns
    if join is None and used:
        raise InvalidBatch(
            f"source({used[0]!r}): there is no other table; only update(…, from_=…, on=…) and "
            f"delete(…, using=…, on=…) have one"
        )
    if join is not None:
        _check_selected(join, used)


def _check_selected(join: Join, used: list[str]) -> None:
    if isinstance(join.table, str):
        return
    columns = join.table.columns or ()
    names = [column.label if isinstance(column, RawSql) else column for column in columns]
    for column in (*used, *[other for _, other in join.on]):
        if column not in names:
            raise InvalidBatch(
                f"{column!r:.40} is not among the columns of the select(); add it there"
            )


def _fragments(source: Insert | Update | Delete | Select) -> Iterator[RawSql]:
    match source:
        case Insert(cells=cells, conflict=on):
            cells += () if on is None else on.cells
            tests = () if on is None else on.where
        case Update(cells=cells, where=tests):
            pass
        case Delete(where=tests):
            cells = ()
        case Select(columns=columns, where=tests):
            cells = tuple([each for each in columns or () if isinstance(each, RawSql)])
    yield from (cell for cell in cells if isinstance(cell, RawSql))
    yield from _texts(tests)


def _texts(where: Conditions) -> Iterator[RawSql]:
    for condition in (where,) if isinstance(where, RawSql) else where:
        test = condition if isinstance(condition, RawSql) else condition[1]
        operand = test.operand if isinstance(test, Compared) else test
        if isinstance(operand, RawSql):
            yield operand


def _columns_in(text: RawSql) -> Iterator[str]:
    if text.source_column is not None:
        yield text.source_column
    for nested in text.nested:
        if isinstance(nested, RawSql):
            yield from _columns_in(nested)
