# SPDX-License-Identifier: MIT
"""Making statements: real SQL with :func:`sql`, and thin builders for the everyday ones.

The builders quote every identifier, list every column, and send every value as a parameter. What
they cannot say is said in ``sql()``, whole or as a fragment where an expression fits.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, LiteralString

from batchq.language import placeholders
from batchq.language.comparisons import kept
from batchq.language.errors import InvalidBatch
from batchq.language.inputs import Where, read_conditions, read_row
from batchq.language.outputs import casts
from batchq.language.shape import Shape
from batchq.language.statement import Statement
from batchq.language.syntax import (
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


def sql(text: LiteralString, /, **params: object) -> Statement[None]:
    """Make a statement of real SQL, or a fragment for a builder.

    :param text: one command. Sent as written, but for psycopg's ``%(name)s`` placeholders, which
        become ``$1``, ``$2``, …; in a text with parameters a percent sign is written ``%%``.
    :param params: the parameters' values.
    :raises InvalidBatch: when placeholders and parameters do not agree, or a quote, a comment or a
        bracket does not end. A fragment is one expression, or it is refused where it is used. What
        a batch cannot hold (two commands, COMMIT, DDL, …) is refused when it is first looked at.

    >>> sql("SELECT name FROM project WHERE id = %(id)s", id=7).scalar(str)
    <Statement SELECT name FROM: scalar(str), exactly 1 row>
    """
    return raw_sql(text, **params)


def raw_sql(text: str, /, **params: object) -> Statement[None]:
    """As :func:`sql`, for text that batchq itself writes around names that it was given."""
    if not params:
        return Statement(_text(text, (), ()), ())
    values = kept(tuple(params.values()))
    return Statement(_text(text, tuple(params), casts(values)), values)


def insert(table: str, row: Row) -> Statement[None]:
    """Insert one row.

    :param table: ``"project"`` or ``"schema.project"``; always quoted.
    :param row: a mapping, or an attrs or dataclass object, whose fields are the columns. A value
        may be a ``sql()`` fragment: ``{"created_at": sql("now()")}``.

    >>> from batchq import insert, steps
    >>> steps(insert("project", {"id": 7, "name": "web"}))[0].sql
    'INSERT INTO "project" ("id", "name") VALUES ($1, $2)'
    """
    columns, cells, values = read_row(row)
    return Statement(_insert(table, columns, cells), values)


def update(table: str, set: Row, where: Where) -> Statement[None]:
    """Update the rows that ``where`` selects.

    :param set: the new values, as the row of :func:`insert`.
    :param where: conditions by column, all of which must hold: a value means ``=``, None means IS
        NULL, a list or tuple means one of these, None among them (of an empty one: no row), a
        fragment is compared by ``=``; an array is compared whole by ``sql()``. Or a ``sql()``
        fragment, or a list of both: ``[{"vpc_id": 7}, sql("block && %(b)s", b=block)]``.

    >>> from batchq import sql, steps, update
    >>> bump = update("silo", {"rcgen": sql("rcgen + 1")}, {"id": 7, "time_deleted": None})
    >>> steps(bump)[0].sql
    'UPDATE "silo" SET "rcgen" = (rcgen + 1) WHERE "id" = $1 AND "time_deleted" IS NULL'
    """
    columns, cells, values = read_row(set)
    if not columns:
        message = f"update({table!r}, …) has nothing to set"
        raise InvalidBatch(message)
    conditions, wanted = read_conditions(where)
    source = _update(table, columns, cells, conditions)
    return Statement(source, values + wanted)


def delete(table: str, where: Where) -> Statement[None]:
    """Delete the rows that ``where`` selects; conditions as in :func:`update`.

    >>> from batchq import delete, steps
    >>> steps(delete("vpc", where={"id": [7, 8]}))[0].sql
    'DELETE FROM "vpc" WHERE "id" = ANY($1)'
    """
    conditions, values = read_conditions(where)
    return Statement(_delete(table, conditions), values)


def select(
    table: str, columns: Iterable[str | Statement[Any]] | None = None, *, where: Where
) -> Statement[None]:
    """Select columns of the rows that ``where`` selects; conditions as in :func:`update`.

    :param columns: column names, and ``sql()`` fragments (``sql("count(*) AS n")``). Left out, they
        are the columns of the model that ``.one(Model)`` and its kin name.

    Without a result shape the result is None, as for every statement.
    """
    conditions, wanted = read_conditions(where)
    if columns is None:
        return Statement(_select(table, None, conditions), wanted)
    cells: list[str | RawSql] = []
    values: list[object] = []
    for column in listed("select(columns=)", columns, '["id", "name"]'):
        if isinstance(column, Expression):
            expression, own = column._as_expression(column=True)
            cells.append(expression)
            values.extend(own)
        else:
            cells.append(column)
    return Statement(_select(table, tuple(cells), conditions), (*values, *wanted))


# The shapes that statements begin with, each checked once.


@lru_cache(maxsize=4096)
def _text(text: str, names: tuple[str, ...], casts: tuple[str | None, ...]) -> Shape:
    return Shape(placeholders.text(text, names, casts))


@lru_cache(maxsize=4096)
def _insert(table: str, columns: tuple[str, ...], cells: tuple[Expr, ...]) -> Shape:
    _check_names(table, *columns)
    return Shape(Insert(table, columns, cells))


@lru_cache(maxsize=4096)
def _update(
    table: str, columns: tuple[str, ...], cells: tuple[Expr, ...], where: Conditions
) -> Shape:
    _check_names(table, *columns, *columns_in(where))
    return Shape(Update(table, columns, cells, where))


@lru_cache(maxsize=4096)
def _delete(table: str, where: Conditions) -> Shape:
    _check_names(table, *columns_in(where))
    return Shape(Delete(table, where))


@lru_cache(maxsize=4096)
def _select(table: str, columns: tuple[str | RawSql, ...] | None, where: Conditions) -> Shape:
    named = [column for column in columns or () if not isinstance(column, RawSql)]
    _check_names(table, *named, *columns_in(where))
    return Shape(Select(table, columns, where))


def _check_names(*names: object) -> None:
    for name in names:
        if not isinstance(name, str) or not all(name.split(".")) or "\0" in name:
            message = f"a table or column has a name, a str: not {name!r:.40}"
            raise InvalidBatch(message)
