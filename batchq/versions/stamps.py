# SPDX-License-Identifier: MIT
"""Check that each row that is written to a stamped table has the stamp of its writer.

The stamp is the own version, also if a newer version has written the row before: it then says that
the row may have to be converted again.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import chain
from operator import eq

from batchq.language.errors import InvalidBatch
from batchq.language.quoted_names import quoted_name
from batchq.language.spelling import with_article
from batchq.language.syntax import Expr, Insert, RawSql, Source, Update
from batchq.language.value_places import place_of, places_in_source

Stamps = tuple[tuple[str, str], ...]
"""Tables, each with the column of the stamp."""


@lru_cache(maxsize=4096)
def stamp_places(source: Source, stamps: Stamps) -> tuple[tuple[int, str], ...]:
    """Return the indices of the values that must be the own version, each with its column.

    Looked at are the statements that the builders make, and not the text of a ``sql()``.

    :raises InvalidBatch: if a row is written without its stamp, or the stamp is not a value.
    """
    if not isinstance(source, Insert | Update):
        return ()
    columns = {column for table, column in stamps if table == source.table} or {
        column for table, column in stamps if _may_be(source.table, table)
    }
    if isinstance(source, Update) and columns.isdisjoint(source.columns) and _is_touch(source):
        return ()
    return tuple(chain.from_iterable(_places(source, column) for column in sorted(columns)))


def _may_be(name: str, table: str) -> bool:
    """Return whether two names may be those of one table: one of them may lack the schema."""
    return all(map(eq, reversed(name.split(".")), reversed(table.split("."))))


def _places(source: Insert | Update, column: str) -> Iterable[tuple[int, str]]:
    if isinstance(source, Update):
        return (_place(f"update({source.table!r})", source.columns, source.cells, column),)
    return _in_insert(source, column)


def _in_insert(source: Insert, column: str) -> Iterable[tuple[int, str]]:
    call, on = f"insert({source.table!r})", source.conflict
    if source.query is not None:
        raise InvalidBatch(
            f"gate(): {call} copies rows of a select(), whose {column!r} is not known; insert the "
            f"rows as values, or write it as sql() and set {column} there"
        )
    yield _place(call, source.columns, source.cells, column)
    if on is not None and on.updates and column not in on.copied:
        start = len(places_in_source(Insert(source.table, source.columns, source.cells)))
        place, _ = _place(f"{call}.on_conflict_do_update()", on.columns, on.cells, column)
        yield start + place, column


def _place(
    call: str, columns: tuple[str, ...], cells: tuple[Expr, ...], column: str
) -> tuple[int, str]:
    if column not in columns:
        raise InvalidBatch(f"gate(): {call} must set {column!r} to the version of this fleet")
    place = place_of(columns, cells, column)
    if place is None:
        raise InvalidBatch(
            f"gate(): {call} sets {column!r} by an expression; set it to the version of this fleet"
        )
    return place, column


def check_stamp(call: str, column: str, stamp: object, version: int) -> None:
    """Reject a stamp that is not the own version.

    :raises InvalidBatch: with the type of the stamp, and not with its value.
    """
    if isinstance(stamp, int) and not isinstance(stamp, bool):
        if stamp == version:
            return
        given = "another version"
    else:
        given = with_article(type(stamp), unlike=(int,))
    raise InvalidBatch(
        f"gate(): {call} sets {column!r} to {given}; set it to {version}, the version of this fleet"
    )


def _is_touch(source: Update) -> bool:
    """Return whether an update writes nothing that versions may differ in.

    So are the updates by which a parent is touched or deleted softly: they increment a number, and
    set a time to now().
    """
    return all(
        isinstance(cell, RawSql) and cell.text in ("now()", f"{quoted_name(name)} + 1")
        for name, cell in zip(source.columns, source.cells, strict=True)
    )
