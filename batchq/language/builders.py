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
from batchq.language.inputs import read_row
from batchq.language.insert_select import insert_select, refuse_select_label
from batchq.language.parameters import fields_of
from batchq.language.shape import Shape
from batchq.language.special import NOT_AS_IS
from batchq.language.sql_values import read_mapping, read_text
from batchq.language.statement import Statement
from batchq.language.syntax import (
    Expr,
    Insert,
    RawSql,
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
        refuse_select_label("insert()", row._labels)
        return Statement(insert_select(table, row._shape), row._values)
    columns, cells, values = read_row("insert()", row)
    try:
        return Statement(_insert(table, columns, cells), values)
    except TypeError:
        check_names("insert()", table, columns)
        raise


# -- the first shape of a statement: checked once, then looked up ----------------------------------


@lru_cache(maxsize=4096)
def _text(text: str, names: tuple[str, ...]) -> Shape:
    if not isinstance(cast("object", text), str):
        raise placeholders.not_text(text)
    return _source(placeholders.text(text, names, ()))


@lru_cache(maxsize=4096)
def _source(source: RawSql) -> Shape:
    return Shape(source)


@lru_cache(maxsize=4096)
def _insert(table: str, columns: tuple[str, ...], cells: tuple[Expr, ...]) -> Shape:
    check_names("insert()", table, columns)
    return Shape(Insert(table, columns, cells))
