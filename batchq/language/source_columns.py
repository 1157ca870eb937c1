# SPDX-License-Identifier: MIT
"""Reject a column of the other table where there is none, or where that has no such column."""

from __future__ import annotations

from collections.abc import Iterable

from batchq.language.errors import InvalidBatch
from batchq.language.guards import Requirement, When
from batchq.language.source_parts import cells_of, conditions_of, operands_of
from batchq.language.syntax import Delete, Insert, Join, RawSql, Source, Update


def check_source_columns(source: Source, requirements: Iterable[Requirement]) -> None:
    """Reject each ``source()`` that the statement cannot evaluate.

    :raises InvalidBatch: without another table, for a column that its select does not have, and in
        a condition on rows that are returned, which come from one table.
    """
    join = source.join if isinstance(source, Update | Delete) else None
    used: list[str] = []
    if not isinstance(source, RawSql):  # a text may be a part of a statement that has one
        used += columns_of_other((*cells_of(source), *operands_of(conditions_of(source))))
    if isinstance(source, Insert) and source.conflict is not None:
        used += columns_of_other((*source.conflict.target, source.conflict.predicate))
    for requirement in requirements:
        columns = columns_of_other(operands_of(requirement.test))
        if columns and requirement.when is When.AFTER:
            raise InvalidBatch(
                f"{requirement.call}(): the row that is returned has no source({columns[0]!r}); "
                f"write .require({{…}}) instead"
            )
        used += columns
    if join is None:
        _refuse(used)
    else:
        _check_selected(join, used)


def refuse_source_columns(parts: Iterable[object]) -> None:
    """Reject each ``source()`` in parts of a statement without another table.

    :raises InvalidBatch: if there is one.
    """
    _refuse(columns_of_other(parts))


def _refuse(columns: list[str]) -> None:
    if columns:
        raise InvalidBatch(
            f"source({columns[0]!r}): there is no other table; only update(…, from_=…, on=…) and "
            f"delete(…, using=…, on=…) have one"
        )


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


def columns_of_other(parts: Iterable[object]) -> list[str]:
    """Return the columns of the other table that fragments name by ``source()``."""
    columns: list[str] = []
    for part in parts:
        if isinstance(part, RawSql):
            if part.source_column is not None:
                columns.append(part.source_column)
            columns += columns_of_other(part.nested)
    return columns
