# SPDX-License-Identifier: MIT
"""Know the values of a statement by its shape: the name of each, and where it stands.

They are in the order of the text, and those of the conditions on rows come last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Protocol

from batchq.language.syntax import (
    NOT_ANY,
    WITHOUT_VALUE,
    Compared,
    Conditions,
    Delete,
    Expr,
    Insert,
    Join,
    RawSql,
    Select,
    Source,
    Update,
    selects,
)

if TYPE_CHECKING:
    from batchq.language.guards import Requirement

FRAGMENT = "fragment"
"""In the place of a test: the value of a placeholder in a fragment."""
AFTER = "ORDER BY, after"
"""In a page: the value of a sort key in the row before it, which may be NULL."""
AFTER_NOT_NULL = "ORDER BY, after a value"
"""The same of a sort key that is declared to have no NULL."""
LIMIT = "LIMIT"
"""The greatest number of rows."""
VERSION = "version"
"""The version of a row to insert, which is not NULL."""


ValuePlace = tuple[str, str | None]
"""The place of one value: the column or the placeholder, for messages; and the test that it stands
in, or :data:`FRAGMENT`, :data:`VERSION`, or None for another value outside the conditions."""


class _Shape(Protocol):
    """The part of a shape that decides the values."""

    @property
    def source(self) -> Source: ...
    @property
    def requirements(self) -> tuple[Requirement, ...]: ...


def places_of(shape: _Shape) -> list[ValuePlace]:
    """Return the place of each value of a statement."""
    places = places_in_source(shape.source)
    for requirement in shape.requirements:
        places += places_in(requirement.test)
    return places


def tests_of(shape: _Shape) -> list[str | None]:
    """Return the test that each value stands in, as in :data:`ValuePlace`."""
    return [test for _, test in places_of(shape)]


@lru_cache(maxsize=1024)
def by_precedence(shape: _Shape) -> tuple[tuple[str, int], ...]:
    """Return the name and the index of each value; of several of one name, the last one counts.

    A column counts before a placeholder in a fragment, and what an UPDATE sets before what it
    compares.
    """
    named = [(name, index, test == FRAGMENT) for index, (name, test) in enumerate(places_of(shape))]
    named.reverse()
    named.sort(key=itemgetter(2), reverse=True)
    return tuple([(name, index) for name, index, _ in named])


def places_in_source(source: Source) -> list[ValuePlace]:
    """Return the place of each value of a source, in order."""
    match source:
        case RawSql():
            return [(name, None) for name in source.names]
        case Insert():
            if source.query is None:
                places = _places_in_cells(source.columns, source.cells, source.version)
            else:
                places = places_in_source(source.query)
            if (on := source.conflict) is not None:
                places += _places_in_cells(on.columns, on.cells) + places_in(on.where)
            return places
        case Update():
            places = _places_in_cells(source.columns, source.cells)
            return places + _places_in_join(source.join) + places_in(source.where)
        case Delete():
            return _places_in_join(source.join) + places_in(source.where)
        case Select():
            places = [*_in_fragments(source.columns or ()), *places_in(source.where)]
            if source.after:
                tests = [AFTER if key.nulls else AFTER_NOT_NULL for key in source.order]
                places += zip(sorted_columns(source), tests, strict=True)
            places += _in_fragments([key.column for key in source.order])
            return [*places, ("limit", LIMIT)] if source.limited else places


def sorted_columns(source: Select) -> list[str]:
    """Return the columns that a select is ordered by, without fragments."""
    return [key.column for key in source.order if isinstance(key.column, str)]


def _places_in_join(join: Join | None) -> list[ValuePlace]:
    return places_in_source(join.table) if join and not isinstance(join.table, str) else []


def places_in(where: Conditions) -> list[ValuePlace]:
    """Return the place of each value of conditions, in order."""
    if isinstance(where, RawSql):
        return _in_fragment(where)
    places: list[ValuePlace] = []
    for condition in where:
        column, test = ("", condition) if isinstance(condition, RawSql) else condition
        compared = test.operand if isinstance(test, Compared) else test
        if isinstance(compared, RawSql):
            places += _in_fragment(compared)
        elif isinstance(test, Compared):
            places.append((column, test.operator))
        elif not isinstance(test, RawSql) and test not in WITHOUT_VALUE:
            places.append((column, test))
    return places


def _places_in_cells(
    columns: Iterable[str], cells: Iterable[Expr], version: str | None = None
) -> list[ValuePlace]:
    places: list[ValuePlace] = []
    for column, cell in zip(columns, cells, strict=True):
        test = VERSION if column == version else None
        places += _in_fragment(cell) if isinstance(cell, RawSql) else [(column, test)]
    return places


def _in_fragments(cells: Iterable[str | RawSql]) -> list[ValuePlace]:
    fragments = [each for each in cells if isinstance(each, RawSql)]
    return list(chain.from_iterable(map(_in_fragment, fragments)))


def _in_fragment(fragment: RawSql) -> list[ValuePlace]:
    return [(name, FRAGMENT) for name in fragment.names]


def stored_places(source: Source) -> tuple[int, ...]:
    """Return the indices of the values that a statement may write into rows.

    Those of its conditions are not among them. Of an SQL text that may write, it may write each.
    """
    match source:
        case RawSql():
            return () if _only_reads(source) else selected_places(source)
        case Insert():
            # The conditions of ON CONFLICT come last.
            on = source.conflict
            last = 0 if on is None else len(places_in(on.where))
            every = range(len(places_in_source(source)) - last)
            if source.query is None:
                return tuple(every)
            copied = len(places_in_source(source.query))
            return (*selected_places(source.query), *every[copied:])
        case Update():
            own = len(_places_in_cells(source.columns, source.cells))
            if source.join is None or isinstance(source.join.table, str):
                return tuple(range(own))
            joined = selected_places(source.join.table)
            return (*range(own), *(own + place for place in joined))
        case Delete() | Select():
            return ()


_WITH = re.compile(r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*WITH\b", re.IGNORECASE | re.DOTALL)
_WRITES = re.compile(r"\b(?:INSERT|UPDATE|DELETE|MERGE)\b", re.IGNORECASE)


def _only_reads(text: RawSql) -> bool:
    """Return True if an SQL text certainly writes nothing by a statement in it."""
    if selects(text):
        return True
    begins = _WITH.match(text.pieces[0]) is not None and not text.nested
    return begins and not any(map(_WRITES.search, text.pieces))


def selected_places(source: Source) -> tuple[int, ...]:
    """Return the indices of the values that may be in the rows which a statement selects."""
    match source:
        case RawSql():
            return tuple(range(len(source.names)))
        case Select():
            return tuple(range(len(_in_fragments(source.columns or ()))))
        case Insert() | Update() | Delete():
            return ()


def place_of(columns: tuple[str, ...], cells: tuple[Expr, ...], column: str) -> int | None:
    """Return the index of the value of a column that is set; None if it is set by a fragment."""
    at = columns.index(column)
    if isinstance(cells[at], RawSql):
        return None
    return len(_places_in_cells(columns[:at], cells[:at]))


def lists_alone(source: Source) -> range:
    """Return the places of the lists in a ``where=`` of ``not_in()`` alone.

    If all are empty, it selects every row.

    :return: none if it has another condition, or the source changes no rows.
    """
    if not isinstance(source, Update | Delete) or isinstance(source.where, RawSql):
        return range(0)
    if source.join is not None:  # which selects too
        return range(0)
    for condition in source.where:
        test = None if isinstance(condition, RawSql) else condition[1]
        if not isinstance(test, Compared) or test.operator != NOT_ANY:
            return range(0)
    end = len(places_in_source(source))
    return range(end - len(source.where), end)
