# SPDX-License-Identifier: MIT
"""Build statements: of plain SQL by :func:`sql`, of tables and columns by the other functions.

The builders quote each identifier, list each column, and send each value as a parameter; that of
selects is in :mod:`batchq.language.selects`. For anything else, write the statement with ``sql()``,
or one expression of it as a ``sql()`` fragment.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar, cast, overload

from batchq.language import placeholders
from batchq.language.errors import InvalidBatch
from batchq.language.inputs import Where, read_conditions, read_row
from batchq.language.insert_select import insert_select
from batchq.language.operands import check_lists
from batchq.language.parameters import fields_of
from batchq.language.shape import Shape
from batchq.language.special import NOT_AS_IS
from batchq.language.sql_values import read_mapping, read_text
from batchq.language.statement import Statement
from batchq.language.syntax import (
    Conditions,
    Delete,
    Expr,
    Insert,
    RawSql,
    Update,
    columns_in,
)
from batchq.language.table_names import check_names

if TYPE_CHECKING:
    from batchq.language.inputs import Row

R = TypeVar("R")


def sql(
    text: LiteralString, values: Mapping[str, object] | None = None, /, **params: object
) -> Statement[None]:
    """Return a statement of plain SQL, which is also a fragment for the builders.

    :param text: one command, or one expression. It is sent as written, except that psycopg's
        ``%(name)s`` placeholders become ``$1``, ``$2``, …; with parameters, write ``%%`` for a
        percent sign.
    :param values: values of placeholders by name. It may hold more than the text uses.
    :param params: values of placeholders, each of which the text uses. A value may be a fragment
        itself, which is put in parentheses: ``sql("%(price)s > 100", price=sql("cents / 100"))``.
    :raises InvalidBatch: if placeholders and parameters do not agree, or if a quote, a comment or a
        bracket is not closed. A fragment that is not one expression is rejected by the call that it
        is passed to. A command that a batch cannot contain (COMMIT, DDL, two commands, …) is
        rejected when the batch is run or explained.

    >>> sql("SELECT name FROM project WHERE id = %(id)s", id=7).scalar(str)
    <Statement SELECT name FROM: scalar(str), exactly 1 row>
    """
    return raw_sql(text, values, **params)


def raw_sql(
    text: str, values: Mapping[str, object] | None = None, /, **params: object
) -> Statement[None]:
    """Return a statement as :func:`sql` does, for SQL text that is not a literal."""
    try:
        if values is not None:
            text, names, flat = read_mapping(text, values, params)
        elif params:
            names, flat = tuple(params), tuple(params.values())
            used = placeholders.names_in(text)
            if names != used and params.keys() == set(used):  # one shape, whatever their order
                names, flat = used, tuple(map(params.__getitem__, used))
        else:
            return Statement(_text(text, ()), ())
        if NOT_AS_IS.isdisjoint(map(type, flat)):
            return Statement(_text(text, names), flat)
        source, flat = read_text(text, names, flat)
        return Statement(_source(source), flat)
    except TypeError:
        if isinstance(cast("object", text), str):
            raise
        raise placeholders.not_text(text) from None  # it is not hashable


@overload
def insert(table: str, row: type[R]) -> Statement[None, R]: ...
@overload
def insert(table: str, row: Row | Statement[None]) -> Statement[None]: ...
def insert(table: str, row: Any) -> Statement[None, Any]:
    """Insert one row, or the rows of a select.

    :param table: ``"project"`` or ``"schema.project"``; always quoted.
    :param row: the columns and their values: a mapping, or an attrs or dataclass object, whose
        fields are the columns. A value may be a ``sql()`` fragment: ``{"created_at":
        sql("now()")}``, or an output of an earlier statement, see :meth:`Statement.output`.
        A class in the place of a row declares the statement: each field is a parameter, and
        :meth:`Statement.bind` takes a row of that class. A :func:`select` inserts its rows; its
        columns have the names of those to set: ``sql("now() AS archived_at")``.
    :return: a statement whose result is None; add ``.one(Model)``, ``.count()``, … for another.
    :raises InvalidBatch: if the row is not of these types, or a name is not a non-empty str.

    >>> from batchq import insert, steps
    >>> steps(insert("project", {"id": 7, "name": "web"}))[0].sql
    'INSERT INTO "project" ("id", "name") VALUES ($1, $2)'
    >>> from attrs import frozen
    >>> @frozen
    ... class NewProject:
    ...     id: int
    ...     name: str
    >>> PROJECT = insert("project", NewProject)
    >>> PROJECT.bind(NewProject(7, "web"))
    <Statement insert project>
    """
    if isinstance(row, type):
        row = fields_of("insert()", row)
    elif isinstance(row, Statement):
        check_names("insert()", table)
        return Statement(insert_select(table, row._shape), row._values)
    columns, cells, values = read_row("insert()", row)
    try:
        return Statement(_insert(table, columns, cells), values)
    except TypeError:
        check_names("insert()", table, columns)
        raise


def update(table: str, set: Row, where: Where) -> Statement[None]:
    """Update the rows that ``where`` selects.

    :param table: as in :func:`insert`.
    :param set: the new values by column, as the row of :func:`insert`.
    :param where: the conditions, all of which must hold: a mapping of columns, a ``sql()``
        fragment, or a list of these: ``[{"vpc_id": 7}, sql("block && %(b)s", b=block)]``. In a
        mapping, a value is compared by ``=``, as is a fragment; None is IS NULL; a list or tuple is
        "one of these", which may include None, and an empty one selects no row. For other
        comparisons use the functions of :mod:`batchq.conditions`, and ``sql()`` to compare a
        column with a whole array.
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
    conditions, compared = read_conditions("update(where=)", where)
    try:
        return _changing("update", _update(table, columns, cells, conditions), values + compared)
    except TypeError:
        check_names("update()", table, columns, columns_in(conditions))
        raise


def delete(table: str, where: Where) -> Statement[None]:
    """Delete the rows that ``where`` selects; conditions as in :func:`update`.

    :raises InvalidBatch: as in :func:`update`.

    >>> from batchq import delete, steps
    >>> steps(delete("vpc", where={"id": [7, 8]}))[0].sql
    'DELETE FROM "vpc" WHERE "id" = ANY($1)'
    """
    conditions, values = read_conditions("delete(where=)", where)
    try:
        return _changing("delete", _delete(table, conditions), values)
    except TypeError:
        check_names("delete()", table, columns_in(conditions))
        raise


def _changing(call: str, shape: Shape, values: tuple[object, ...]) -> Statement[None]:
    """Return a statement that changes the rows of a ``where=``.

    :raises InvalidBatch: if that is an empty ``not_in()`` alone.
    """
    if shape.lists_alone:
        check_lists(f"{call}(where=)", [values[place] for place in shape.lists_alone])
    return Statement(shape, values)


# -- the first shape of a statement: checked once, then looked up ----------------------------------


@lru_cache(maxsize=4096)
def _text(text: str, names: tuple[str, ...]) -> Shape:
    if not isinstance(cast("object", text), str):
        raise placeholders.not_text(text)
    return _source(placeholders.text(text, names))


@lru_cache(maxsize=4096)
def _source(source: RawSql) -> Shape:
    return Shape(source)


@lru_cache(maxsize=4096)
def _insert(table: str, columns: tuple[str, ...], cells: tuple[Expr, ...]) -> Shape:
    check_names("insert()", table, columns)
    return Shape(Insert(table, columns, cells))


@lru_cache(maxsize=4096)
def _update(
    table: str, columns: tuple[str, ...], cells: tuple[Expr, ...], where: Conditions
) -> Shape:
    check_names("update()", table, columns, columns_in(where))
    return Shape(Update(table, columns, cells, where))


@lru_cache(maxsize=4096)
def _delete(table: str, where: Conditions) -> Shape:
    check_names("delete()", table, columns_in(where))
    return Shape(Delete(table, where))
