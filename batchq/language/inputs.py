# SPDX-License-Identifier: MIT
"""Reading what users put into statements: rows and conditions, apart into shape and values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeGuard, cast

import attrs
from attrs import frozen

from batchq.language.comparisons import Reading, kept, read_choice, reading_of, refused
from batchq.language.errors import InvalidBatch
from batchq.language.outputs import Output
from batchq.language.placeholders import NUL, text
from batchq.language.syntax import (
    EQUALS,
    EQUALS_OUTPUT,
    IS_NULL,
    NO_PARAMETERS,
    NOT_AS_IS,
    OUTPUT,
    WHOLE,
    Conditions,
    Conflict,
    Expr,
    Expression,
    OutputRef,
    RawSql,
)
from batchq.language.validation import is_text

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Row = Mapping[str, object] | attrs.AttrsInstance | DataclassInstance
    """One row: column names and values, or an object whose fields are columns."""

Condition = Mapping[str, object] | Expression
Where = Condition | Sequence[Condition]
"""Conditions, all of which must hold: by column, a ``sql()`` fragment, or a list of such."""


def read_row(row: Row) -> tuple[tuple[str, ...], tuple[Expr, ...], tuple[object, ...]]:
    """Split a row into its columns, what stands in them, and the values that these take."""
    if type(row) is dict or (read := _reader(type(row))) is None:
        named = cast("Mapping[str, object]", row)
        columns, values = tuple(named), tuple(named.values())
    else:
        columns, values = read.columns, read.values(row)
    if NOT_AS_IS.isdisjoint(map(type, values)):
        return columns, _plain(len(columns)), values
    if NO_PARAMETERS.isdisjoint(map(type, values)):
        return columns, _plain(len(columns)), kept(values)
    cells: list[Expr] = []
    flat: list[object] = []
    for value in values:
        if isinstance(value, Expression):
            expression, own = value._as_expression()
            cells.append(expression)
            flat.extend(own)
        else:
            cells.append(_flowing(value) if isinstance(value, Output) else None)
            flat.append(value)
    return columns, tuple(cells), kept(tuple(flat))


def _is_mapping(row: object) -> TypeGuard[Mapping[str, object]]:
    # Asking an abstract class is slow, and nearly every mapping is a dict.
    return type(row) is dict or isinstance(row, Mapping)


@lru_cache(maxsize=256)
def _plain(columns: int) -> tuple[None, ...]:
    return (None,) * columns


def read_conditions(where: Where) -> tuple[Conditions, tuple[object, ...]]:
    """Split conditions into their tests and the values that these take.

    :raises InvalidBatch: for none at all, which would be every row.
    """
    if isinstance(where, Expression):
        return where._as_expression()
    if isinstance(where, list | tuple):
        return _all_of(cast("Sequence[Condition]", where))
    if not _is_mapping(where):
        message = (
            f'where= is a mapping of columns, a sql("…") fragment, or a list of such, not '
            f"{type(where).__name__}"
        )
        raise InvalidBatch(message)
    if not where:
        message = 'where={} would be every row: if that is meant, say where=sql("true")'
        raise InvalidBatch(message)
    tests: list[tuple[str, str | RawSql]] = []
    values: list[object] = []
    for column, value in where.items():
        if value is None:
            tests.append((column, IS_NULL))
            continue
        reading = reading_of(type(value))  # type: ignore[arg-type]  # a class is
        if reading is None:
            values.append(value)
            tests.append((column, EQUALS))
        else:
            tests.append((column, _special(column, value, reading, values)))
    return tuple(tests), tuple(values)


def _special(column: str, value: object, reading: Reading, values: list[object]) -> str | RawSql:
    """Read a value that does not stand for itself; what it takes is added to the values."""
    match reading:
        case Reading.CHOICE:
            test, choice = read_choice(column, cast("Sequence[object]", value))
            values.append(choice)
            return test
        case Reading.FRAGMENT:
            expression, own = cast("Expression", value)._as_expression()
            values.extend(own)
            return expression
        case Reading.OUTPUT:
            values.append(value)
            flowing = _flowing(cast("Output", value))
            return EQUALS_OUTPUT if isinstance(flowing, OutputRef) else flowing
        case Reading.NULL | Reading.REFUSED:  # the former is read already, as nearly always
            raise refused(column, type(value))


def _all_of(conditions: Sequence[Condition]) -> tuple[Conditions, tuple[object, ...]]:
    """Join several conditions; a fragment among them stands for itself."""
    if not conditions:
        message = 'where=[] would be every row: if that is meant, say where=sql("true")'
        raise InvalidBatch(message)
    tests: list[tuple[str, str | RawSql]] = []
    values: list[object] = []
    for condition in conditions:
        read, taken = read_conditions(condition)
        tests.extend([(WHOLE, read)] if isinstance(read, RawSql) else read)
        values.extend(taken)
    return tuple(tests), tuple(values)


def _flowing(output: Output) -> RawSql | OutputRef:
    """What stands for an output: its column says the type, unless the output does."""
    if output.type is None:
        return OUTPUT
    return text("%(output)s", ("output",), (output.type,))


def conflict(columns: tuple[str, ...], where: Where | None) -> Conflict:
    """Read the target of ON CONFLICT.

    :raises InvalidBatch: for a predicate that would need a parameter.
    """
    if not columns or not all(map(is_text, columns)):
        message = "on_conflict_do_nothing() names the columns of a unique index"
        raise InvalidBatch(message)
    if where is None:
        return Conflict(columns, None)
    if isinstance(where, Expression):
        predicate, _ = where._as_expression()
        if predicate.names:
            message = "the predicate of an index takes no parameters: write its values out in sql()"
            raise InvalidBatch(message)
        return Conflict(columns, predicate)
    if not _is_mapping(where):
        message = "the predicate of an index is a mapping of columns, or one sql() fragment"
        raise InvalidBatch(message)
    return Conflict(columns, tuple((column, _literal(where[column])) for column in where))


def _literal(value: object) -> str:
    """Write a test of a partial index's predicate as SQL text."""
    if value is None:
        return "IS NULL"
    if isinstance(value, bool):
        return "= true" if value else "= false"
    if type(value) is int:
        return f"= {value}"
    if isinstance(value, str) and NUL not in value:
        escaped = value.replace("'", "''")
        return f"= E'{escaped}'".replace("\\", "\\\\") if "\\" in escaped else f"= '{escaped}'"
    message = (
        f"the predicate of an index takes None, booleans, integers and strings, not "
        f"{type(value).__name__}: write it as sql()"
    )
    raise InvalidBatch(message)


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
