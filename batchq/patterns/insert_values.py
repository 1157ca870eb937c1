# SPDX-License-Identifier: MIT
"""Look up the value that an insert assigns to a column."""

from __future__ import annotations

from batchq.language.syntax import Insert, RawSql


def value_of(insert: Insert, values: tuple[object, ...], column: str) -> object:
    """Return the value or fragment that an insert assigns to one of its columns."""
    place = place_of(insert, column)
    return place if isinstance(place, RawSql) else values[place]


def place_of(insert: Insert, column: str) -> int | RawSql:
    """Return the place of the value that is assigned to a column, or the fragment that is."""
    place = 0
    for name, cell in zip(insert.columns, insert.cells, strict=True):
        if name == column:
            return cell if isinstance(cell, RawSql) else place
        place += len(cell.names) if isinstance(cell, RawSql) else 1
    raise KeyError(column)
