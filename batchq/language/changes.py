# SPDX-License-Identifier: MIT
"""Build the statements that change rows: update and delete, also by the rows of another table."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, overload

from batchq.language.errors import InvalidBatch
from batchq.language.inputs import Where, read_row
from batchq.language.join import Other, matched, read_where
from batchq.language.operands import check_lists
from batchq.language.shape import Shape
from batchq.language.statement import Statement
from batchq.language.syntax import Conditions, Delete, Expr, Join, Update, columns_in
from batchq.language.table_names import check_names

if TYPE_CHECKING:
    from batchq.language.inputs import Row


@overload
def update(table: str, set: Row, where: Where) -> Statement[None]: ...
@overload
def update(
    table: str, set: Row, where: Where | None = None, *, from_: Other, on: Mapping[str, str]
) -> Statement[None]: ...
def update(
    table: str,
    set: Row,
    where: Where | None = None,
    *,
    from_: Other | None = None,
    on: Mapping[str, str] | None = None,
) -> Statement[None]:
    """Update the rows that ``where`` selects.

    :param table: as in :func:`insert`.
    :param set: the new values by column, as the row of :func:`insert`.
    :param where: the conditions, all of which must hold: a mapping of columns, a ``sql()``
        fragment, or a list of these: ``[{"vpc_id": 7}, sql("block && %(b)s", b=block)]``. In a
        mapping, a value is compared by ``=``, as is a fragment; None is IS NULL; a list or tuple is
        "one of these", which may include None, and an empty one selects no row. For other
        comparisons use the functions of :mod:`batchq.conditions`, and ``sql()`` to compare a
        column with a whole array.
    :param from_: another table, or a select, whose columns :func:`source` names in the values and
        conditions. A row that matches two of its rows fails. In fragments, write ``"table".x`` and
        ``source.x``.
    :param on: columns of this table, each with the column of the other one that it equals; then
        ``where`` may be left out.
    :raises InvalidBatch: if there is nothing to set, no condition, or a value that cannot be
        compared. For all rows, write ``where=sql("true")``.

    >>> from batchq import sql, steps, update
    >>> touch = update("project", {"version": sql("version + 1")}, {"id": 7, "deleted_at": None})
    >>> steps(touch)[0].sql
    'UPDATE "project" SET "version" = (version + 1) WHERE "id" = $1 AND "deleted_at" IS NULL'
    """
    columns, cells, values = read_row("update(set=)", set)
    if not columns:
        raise InvalidBatch(f"update({table!r}, …): no column to set; name at least one")
    conditions, compared, join = read_where(_UPDATE, table, where, from_, on)
    try:
        shape = _update(table, columns, cells, conditions, join)
    except TypeError:
        check_names("update()", table, columns, columns_in(conditions))
        raise
    values += compared
    if shape.lists_alone:
        _check_alone("update(where=)", shape, values)
    return Statement(shape, values)


@overload
def delete(table: str, where: Where) -> Statement[None]: ...
@overload
def delete(
    table: str, where: Where | None = None, *, using: Other, on: Mapping[str, str]
) -> Statement[None]: ...
def delete(
    table: str,
    where: Where | None = None,
    *,
    using: Other | None = None,
    on: Mapping[str, str] | None = None,
) -> Statement[None]:
    """Delete the rows that ``where`` selects; conditions as in :func:`update`.

    :param using: another table, or a select, as ``from_`` of :func:`update`.
    :param on: as in :func:`update`.

    :raises InvalidBatch: as in :func:`update`.

    >>> from batchq import delete, steps
    >>> steps(delete("vpc", where={"id": [7, 8]}))[0].sql
    'DELETE FROM "vpc" WHERE "id" = ANY($1)'
    """
    conditions, values, join = read_where(_DELETE, table, where, using, on)
    try:
        shape = _delete(table, conditions, join)
    except TypeError:
        check_names("delete()", table, columns_in(conditions))
        raise
    if shape.lists_alone:
        _check_alone("delete(where=)", shape, values)
    return Statement(shape, values)


_UPDATE = ("update(where=)", "update(from_=)")
_DELETE = ("delete(where=)", "delete(using=)")


def _check_alone(call: str, shape: Shape, values: tuple[object, ...]) -> None:
    """Reject a ``where=`` that is an empty ``not_in()`` alone."""
    check_lists(call, [values[place] for place in shape.lists_alone])


@lru_cache(maxsize=4096)
def _update(
    table: str,
    columns: tuple[str, ...],
    cells: tuple[Expr, ...],
    where: Conditions,
    join: Join | None,
) -> Shape:
    check_names("update()", table, columns, columns_in(where))
    return Shape(Update(table, columns, cells, where, join), conditions=matched(join))


@lru_cache(maxsize=4096)
def _delete(table: str, where: Conditions, join: Join | None) -> Shape:
    check_names("delete()", table, columns_in(where))
    return Shape(Delete(table, where, join), conditions=matched(join))
