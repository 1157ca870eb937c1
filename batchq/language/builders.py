# SPDX-License-Identifier: MIT
"""Making statements: real SQL with :func:`sql`, and thin builders for the everyday ones.

The builders quote every identifier, list every column, and send every value as a parameter. What
they cannot say is said in ``sql()``, whole or as a fragment where an expression fits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, LiteralString, TypeGuard, cast

import attrs
from attrs import frozen

from batchq.language import sources
from batchq.language.batch import (
    AsInternal,
    Batch,
    Gathered,
    Into,
    Labelled,
    Mapped,
    Remapped,
    Sequenced,
)
from batchq.language.errors import InvalidBatch
from batchq.language.results import NO_RESULT
from batchq.language.shape import Shape
from batchq.language.sources import (
    EQUALS,
    EQUALS_ANY,
    IS_NULL,
    Conditions,
    Delete,
    Insert,
    Select,
    Text,
    Update,
)
from batchq.language.statement import Statement

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Row = Mapping[str, object] | attrs.AttrsInstance | DataclassInstance
    """One row: column names and values, or an object whose fields are columns."""

Where = Mapping[str, object] | Statement[Any]
"""Conditions, all of which must hold: by column, or a ``sql()`` fragment."""


_BATCHES = frozenset({Statement, Gathered, Sequenced, Into, Mapped, Labelled, Remapped, AsInternal})
"""All forms of a batch: a bare statement may stand among values, the others are refused."""


def sql(text: LiteralString, /, **params: object) -> Statement[None]:
    """Make a statement of real SQL, or a fragment for a builder.

    :param text: one command. Sent as written, but for psycopg's ``%(name)s`` placeholders, which
        become ``$1``, ``$2``, …; in a text with parameters a percent sign is written ``%%``.
    :param params: the parameters' values.
    :raises InvalidBatch: when placeholders and parameters do not agree. What can only be seen by
        reading the SQL (two commands, COMMIT, DDL, …) is refused when it is first used.

    >>> sql("SELECT name FROM project WHERE id = %(id)s", id=7).scalar(str)
    <Statement SELECT name FROM: scalar(str), exactly 1 row>
    """
    return Statement(_text(text, tuple(params)), tuple(params.values()))


def insert(table: str, row: Row) -> Statement[None]:
    """Insert one row.

    :param table: ``"project"`` or ``"schema.project"``; always quoted.
    :param row: a mapping, or an attrs or dataclass object, whose fields are the columns. A value
        may be a ``sql()`` fragment: ``{"created_at": sql("now()")}``.

    >>> from batchq import insert
    >>> insert("project", {"id": 7, "name": "web"}).steps()[0].sql
    'INSERT INTO "project" ("id", "name") VALUES ($1, $2)'
    """
    columns, cells, values = _cells(row)
    return Statement(_insert(table, columns, cells), values)


def update(table: str, set: Row, where: Where) -> Statement[None]:
    """Update the rows that ``where`` selects.

    :param set: the new values, as the row of :func:`insert`.
    :param where: conditions by column, all of which must hold: a value means ``=``, None means IS
        NULL, a list means ``= ANY``, a fragment is compared by ``=``. Or one ``sql()`` fragment.

    >>> from batchq import sql, update
    >>> bump = update("silo", {"rcgen": sql("rcgen + 1")}, {"id": 7, "time_deleted": None})
    >>> bump.steps()[0].sql
    'UPDATE "silo" SET "rcgen" = (rcgen + 1) WHERE "id" = $1 AND "time_deleted" IS NULL'
    """
    columns, cells, values = _cells(set)
    if not columns:
        message = f"update({table!r}, …) has nothing to set"
        raise InvalidBatch(message)
    conditions, compared = _conditions(where)
    source = _update(table, columns, cells, conditions)
    return Statement(source, values + compared)


def delete(table: str, where: Where) -> Statement[None]:
    """Delete the rows that ``where`` selects; conditions as in :func:`update`.

    >>> from batchq import delete
    >>> delete("vpc", where={"id": [7, 8]}).steps()[0].sql
    'DELETE FROM "vpc" WHERE "id" = ANY($1)'
    """
    conditions, values = _conditions(where)
    return Statement(_delete(table, conditions), values)


def select(
    table: str, columns: Iterable[str | Statement[Any]] | None = None, *, where: Where
) -> Statement[None]:
    """Select columns of the rows that ``where`` selects; conditions as in :func:`update`.

    :param columns: column names, and ``sql()`` fragments (``sql("count(*) AS n")``). Left out, they
        are the columns of the model that ``.one(Model)`` and its kin name.

    Without a result shape the result is None, as for every statement.
    """
    conditions, compared = _conditions(where)
    if columns is None:
        return Statement(_select(table, None, conditions), compared)
    if isinstance(columns, str):
        message = f"select() takes a list of columns: [{columns!r}]"
        raise InvalidBatch(message)
    cells: list[str | Text] = []
    values: list[object] = []
    for column in columns:
        if isinstance(column, Batch):
            cells.append(_fragment(column))
            values.extend(column.values)
        else:
            cells.append(column)
    return Statement(_select(table, tuple(cells), conditions), (*values, *compared))


# The shapes that statements begin with, each checked once.


@lru_cache(maxsize=4096)
def _text(text: str, names: tuple[str, ...]) -> Shape:
    return Shape(sources.text(text, names))


@lru_cache(maxsize=4096)
def _insert(table: str, columns: tuple[str, ...], cells: tuple[Text | None, ...]) -> Shape:
    _check_names(table, *columns)
    return Shape(Insert(table, columns, cells))


@lru_cache(maxsize=4096)
def _update(
    table: str, columns: tuple[str, ...], cells: tuple[Text | None, ...], where: Conditions
) -> Shape:
    _check_names(table, *columns, *_compared(where))
    return Shape(Update(table, columns, cells, where))


@lru_cache(maxsize=4096)
def _delete(table: str, where: Conditions) -> Shape:
    _check_names(table, *_compared(where))
    return Shape(Delete(table, where))


@lru_cache(maxsize=4096)
def _select(table: str, columns: tuple[str | Text, ...] | None, where: Conditions) -> Shape:
    named = [column for column in columns or () if not isinstance(column, Text)]
    _check_names(table, *named, *_compared(where))
    return Shape(Select(table, columns, where))


def _compared(where: Conditions) -> Iterable[str]:
    return () if isinstance(where, Text) else (column for column, _ in where)


def _check_names(*names: object) -> None:
    for name in names:
        if not isinstance(name, str) or not all(name.split(".")) or "\0" in name:
            message = f"a table or column has a name, a str: not {name!r:.40}"
            raise InvalidBatch(message)


def _cells(row: Row) -> tuple[tuple[str, ...], tuple[Text | None, ...], tuple[object, ...]]:
    """Split a row into its columns, what stands in them, and the values that these take."""
    if type(row) is dict or (read := _reader(type(row))) is None:
        named = cast("Mapping[str, object]", row)
        columns, values = tuple(named), tuple(named.values())
    else:
        columns, values = read.columns, read.values(row)
    if _BATCHES.isdisjoint(map(type, values)):
        return columns, _plain(len(columns)), values
    cells: list[Text | None] = []
    flat: list[object] = []
    for value in values:
        if isinstance(value, Batch):
            fragment = cast("Statement[Any]", value)
            cells.append(_fragment(fragment))
            flat.extend(fragment.values)
        else:
            cells.append(None)
            flat.append(value)
    return columns, tuple(cells), tuple(flat)


def _is_mapping(row: object) -> TypeGuard[Mapping[str, object]]:
    # Asking an abstract class is slow, and nearly every mapping is a dict.
    return type(row) is dict or isinstance(row, Mapping)


@lru_cache(maxsize=256)
def _plain(columns: int) -> tuple[None, ...]:
    return (None,) * columns


def _conditions(where: Where) -> tuple[Conditions, tuple[object, ...]]:
    if isinstance(where, Batch):
        return _fragment(where), where.values
    if not _is_mapping(where):
        message = (
            f'where= is a mapping of columns or a sql("…") fragment, not {type(where).__name__}'
        )
        raise InvalidBatch(message)
    if not where:
        message = 'where={} would be every row: if that is meant, say where=sql("true")'
        raise InvalidBatch(message)
    tests: list[tuple[str, str | Text]] = []
    values: list[object] = []
    for column, value in where.items():
        test: str | Text
        if value is None:
            test = IS_NULL
        elif isinstance(value, list):
            test = EQUALS_ANY
            # A copy: the statement stays what it is, whatever becomes of the list.
            values.append(cast("list[object]", value)[:])
        elif isinstance(value, Batch):
            test = _fragment(cast("Statement[Any]", value))
            values.extend(cast("Statement[Any]", value).values)
        else:
            test = EQUALS
            values.append(value)
        tests.append((column, test))
    return tuple(tests), tuple(values)


def _fragment(value: Batch[Any]) -> Text:
    """Accept a bare ``sql()`` as an expression."""
    if isinstance(value, Statement) and isinstance(value.source, Text):
        if _is_bare(value.shape):
            return value.source
        message = (
            "a fragment is a bare sql(): result, .on(), .internal() and .expect() belong to the "
            "statement it stands in"
        )
        raise InvalidBatch(message)
    message = "only a sql() fragment fits where an expression does, not a whole statement or batch"
    raise InvalidBatch(message)


def _is_bare(shape: Shape) -> bool:
    return shape.result is NO_RESULT and shape.expected is None and not shape.declared


@frozen(eq=False)
class _Reader:
    """How to read the rows of a class."""

    columns: tuple[str, ...]
    values: Callable[[Any], tuple[object, ...]]


@lru_cache(maxsize=1024)
def _reader(cls: type[Any]) -> _Reader | None:
    """Learn to read a class of rows; None for mappings, which are read by their keys."""
    if attrs.has(cls):
        columns = tuple(field.name for field in attrs.fields(cls))
    elif dataclasses.is_dataclass(cls):
        columns = tuple(field.name for field in dataclasses.fields(cls))
    elif issubclass(cls, Mapping):
        return None
    else:
        message = f"a row is a mapping or an attrs or dataclass object, not {cls.__name__}"
        raise InvalidBatch(message)
    if len(columns) == 1:
        return _Reader(columns, lambda row: (getattr(row, columns[0]),))
    return _Reader(columns, attrgetter(*columns) if columns else lambda _: ())
