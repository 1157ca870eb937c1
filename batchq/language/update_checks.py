# SPDX-License-Identifier: MIT
"""Check what an update is asked: for the row before it, and whether it has left the row."""

from __future__ import annotations

from batchq.language.errors import InvalidBatch
from batchq.language.guards import AT_MOST_ONE, EXACTLY_ONE, When
from batchq.language.old import Old
from batchq.language.repeated import refuse_varying
from batchq.language.results import Rows
from batchq.language.shape import Shape
from batchq.language.syntax import Delete, Insert, RawSql, Select, Update


def check_update(shape: Shape) -> None:
    """Reject what only an update of one row can answer, of other statements."""
    for column in shape.returned or ():
        _check_old(shape, column)
    leaves = any(condition.when is When.LEAVE for condition in shape.conditions)
    if shape.result.rows is Rows.CHANGED:
        _check_changed(shape, leaves=leaves)
    elif leaves:
        _check_left(shape)
    elif shape.result.rows is Rows.UPDATED:
        raise InvalidBatch(
            "updated(): without unless() a row is always changed; write .unless({…}) before it, "
            "or use one()"
        )


def check_old(shape: Shape, column: object) -> None:
    """Reject a column of the row before the statement that a later one uses, where there is none.

    :param column: the column of the output; the shape does not have it.
    """
    _check_old(shape, column)
    if isinstance(column, Old) and isinstance(shape.source, Update):
        refuse_varying(shape.source, str(column))


def _check_old(shape: Shape, column: object) -> None:
    if not isinstance(column, Old):
        return
    source = shape.source
    if not isinstance(source, Update):
        raise InvalidBatch(f"{column}: {_INSTEAD_OF_OLD[type(source)]}")
    if source.join is not None:
        raise InvalidBatch(
            f"{column}: an update with from_= does not find its row before it; read the row by a "
            "select(…).for_update() in an earlier step"
        )
    if shape.result.rows is Rows.ALL:
        raise InvalidBatch(
            f"all(): {column} is known of one row; use one() or maybe(), and .each() for many"
        )


_INSTEAD_OF_OLD = {
    RawSql: "only an update() has it; in sql() write RETURNING OLD.x AS old_x (PostgreSQL 18)",
    Insert: (
        "only an update() has a row before it; of a row that exists already, use "
        "insert_or_get() and then an update()"
    ),
    Delete: "a delete() returns the row as it was; name the column itself",
    Select: "a select() changes nothing; name the column itself",
}


def _check_changed(shape: Shape, *, leaves: bool) -> None:
    if not isinstance(shape.source, Update):
        raise InvalidBatch("change(): only an update() has a row before and after; use one()")
    if shape.source.join is not None:
        raise InvalidBatch("change(): an update with from_= has no row before it; use one()")
    if leaves:
        raise InvalidBatch(
            "change(): with unless() a row may be left as it was; use updated(), which says so"
        )
    for column in shape.returned or ():
        if isinstance(column, Old):
            raise InvalidBatch(
                f"change(): it returns both rows by itself; drop {column} from returning()"
            )


def _check_left(shape: Shape) -> None:
    """Reject ``unless()`` with a result of several rows."""
    guard = shape.expected
    several = shape.result.rows in (Rows.ALL, Rows.COUNT)
    if several or guard not in (None, EXACTLY_ONE, AT_MOST_ONE):
        asked = f"{shape.result}" if guard is None else f"expect({guard})"
        raise InvalidBatch(
            f"unless(): it leaves or changes one row, and {asked} allows several; use updated(), "
            "one(), maybe() or expect(at_most=1)"
        )
