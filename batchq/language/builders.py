# SPDX-License-Identifier: MIT
"""Build statements: of plain SQL by :func:`sql`, of tables and columns by the other functions.

The builders quote each identifier, list each column, and send each value as a parameter. For
anything else, write the statement with ``sql()``, or one expression of it as a ``sql()`` fragment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import chain
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
    CREATED,
    Conditions,
    Delete,
    Expr,
    Expression,
    Insert,
    RawSql,
    Select,
    Update,
    columns_in,
)
from batchq.language.validation import listed

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
        _check_names("insert()", table)
        return Statement(insert_select(table, row._shape), row._values)
    columns, cells, values = read_row("insert()", row)
    try:
        return Statement(_insert(table, columns, cells), values)
    except TypeError:
        _check_names("insert()", table, columns)
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
        _check_names("update()", table, columns, columns_in(conditions))
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
        _check_names("delete()", table, columns_in(conditions))
        raise


def select(
    table: str, columns: Iterable[str | Statement[Any]] | None = None, *, where: Where
) -> Statement[None]:
    """Select columns of the rows that ``where`` selects; conditions as in :func:`update`.

    :param columns: column names, and ``sql()`` fragments (``sql("count(*) AS n")``); default: the
        fields of the model in ``.one(Model)``, ``.maybe(Model)`` or ``.all(Model)``.
    :return: a statement whose result is None; add ``.one(Model)``, ``.scalar(int)``, … for another.
    :raises InvalidBatch: as in :func:`update`.

    >>> from typing import NamedTuple
    >>> from batchq import select, steps
    >>> class Project(NamedTuple):
    ...     id: int
    ...     name: str
    >>> steps(select("project", where={"name": ["api", "web"]}).all(Project))[0].sql
    'SELECT "id", "name" FROM "project" WHERE "name" = ANY($1)'
    """
    conditions, compared = read_conditions("select(where=)", where)
    cells: list[str | RawSql] = []
    values: list[object] = []
    for column in () if columns is None else listed(_COLUMNS, columns, '["id", "name"]'):
        if isinstance(column, Expression):
            expression, own = column._as_expression(_COLUMNS, column=True)
            cells.append(expression)
            values.extend(own)
        else:
            cells.append(column)
    selected = None if columns is None else tuple(cells)
    try:
        return Statement(_select(table, selected, conditions), (*values, *compared))
    except TypeError:
        _check_names("select()", table, cells, columns_in(conditions))
        raise


_COLUMNS = "select(columns=)"


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
    _check_names("insert()", table, columns)
    return Shape(Insert(table, columns, cells))


@lru_cache(maxsize=4096)
def _update(
    table: str, columns: tuple[str, ...], cells: tuple[Expr, ...], where: Conditions
) -> Shape:
    _check_names("update()", table, columns, columns_in(where))
    return Shape(Update(table, columns, cells, where))


@lru_cache(maxsize=4096)
def _delete(table: str, where: Conditions) -> Shape:
    _check_names("delete()", table, columns_in(where))
    return Shape(Delete(table, where))


@lru_cache(maxsize=4096)
def _select(table: str, columns: tuple[str | RawSql, ...] | None, where: Conditions) -> Shape:
    _check_names("select()", table, columns or (), columns_in(where))
    return Shape(Select(table, columns, where))


def _check_names(call: str, table: object, *columns: Iterable[object]) -> None:
    """Reject a name that is not one. The cache raises a TypeError for a name without a hash."""
    if not _is_name(table):
        raise InvalidBatch(
            f'{call}: the table must be a name, such as "project" or "schema.project", not '
            f"{table!r:.40}"
        ) from None
    for name in chain.from_iterable(columns):
        if name == CREATED:
            raise InvalidBatch(
                f"{call}: created() is known of the row that an upsert returns; write it in "
                ".ensure(), .output() or .returning()"
            )
        if not isinstance(name, RawSql) and not _is_name(name):
            raise InvalidBatch(
                f"{call}: a column must be a non-empty str, not {name!r:.40}"
            ) from None


def _is_name(name: object) -> bool:
    return isinstance(name, str) and all(name.split(".")) and "\0" not in name
