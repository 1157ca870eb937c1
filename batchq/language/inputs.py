# SPDX-License-Identifier: MIT
"""Split rows and conditions into the part that determines the SQL, and the values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import attrs
from attrs import evolve, frozen

from batchq.language.comparisons import (
    Comparison,
    Reading,
    copy_lists,
    read_choice,
    reading_of,
    refused,
)
from batchq.language.errors import InvalidBatch
from batchq.language.outputs import Output
from batchq.language.parameters import Parameter
from batchq.language.placeholders import text
from batchq.language.row_fields import field_names, field_reader, unreadable
from batchq.language.special import NO_PARAMETERS, NOT_AS_IS, UNWRITABLE, Special
from batchq.language.spelling import with_article
from batchq.language.syntax import (
    EQUALS,
    EQUALS_ANY,
    EQUALS_OUTPUT,
    IS_NOT_NULL,
    IS_NULL,
    OUTPUT,
    ColumnTest,
    Compared,
    Conditions,
    Expr,
    Expression,
    OutputRef,
    RawSql,
)
from batchq.language.whole_rows import not_columns

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Row = Mapping[str, object] | attrs.AttrsInstance | DataclassInstance
    """One row: a mapping of column names to values, or an object whose fields are the columns."""

Condition = Mapping[str, object] | Expression
Where = Condition | Sequence[Condition]
"""Conditions, all of which must hold: a mapping of columns, a ``sql()`` fragment, or a list of
these."""


def read_row(call: str, row: Row) -> tuple[tuple[str, ...], tuple[Expr, ...], tuple[object, ...]]:
    """Return the columns of a row, the expression for each, and the values of the parameters.

    :param call: the call that it was passed to, for the text of the errors: ``"insert()"``.
    :raises InvalidBatch: if it is not a row, or a value is a whole statement.
    """
    try:
        read = None if type(row) is dict else _reader(call, type(row))
    except InvalidBatch as error:
        raise not_columns(call, cast("object", row)) or error from None
    if read is None:
        named: Any = row  # pyright: ignore[reportUnknownVariableType]  a mapping
        columns, values = tuple(named), tuple(named.values())
    else:
        columns = read.columns
        try:
            values = read.values(row)
        except AttributeError as error:
            raise unreadable(call, cast("object", row), columns) from error
    if NOT_AS_IS.isdisjoint(map(type, values)):
        return columns, _plain(len(columns)), values
    cells: list[Expr] = []
    flat: list[object] = []
    for place, value in enumerate(values):
        if type(value) not in NO_PARAMETERS:
            cells.append(None)
            flat.append(value)
            continue
        if type(value) in UNWRITABLE:
            raise refused(call, columns[place], type(value))
        cell, own = read_cell(call, value)
        cells.append(cell)
        flat += own
    return columns, tuple(cells), copy_lists(call, tuple(flat)) if flat else ()


def read_cell(call: str, value: object) -> tuple[Expr, tuple[object, ...]]:
    """Return the expression for one value of a row, and the values of its parameters.

    :raises InvalidBatch: for a whole statement.
    """
    if isinstance(value, Expression):
        return value._as_expression(call)
    return _output_expression(value) if isinstance(value, Output) else None, (value,)


@lru_cache(maxsize=256)
def _plain(columns: int) -> tuple[None, ...]:
    return (None,) * columns


def read_conditions(call: str, where: Where) -> tuple[Conditions, tuple[object, ...]]:
    """Return the tests of conditions, and the values of the parameters.

    :param call: the call that they were passed to, for the text of the errors:
        ``"update(where=)"``.
    :raises InvalidBatch: without a condition, because that would select every row.
    """
    # isinstance() with an abstract class is slow, and nearly every mapping is a dict.
    if type(where) is not dict and not isinstance(where, Mapping):
        return _other_conditions(call, where)
    named: Any = where  # pyright: ignore[reportUnknownVariableType]  a mapping
    if not named:
        raise _every_row(call, "{}")
    tests: list[ColumnTest] = []
    values: list[object] = []
    column: str
    value: object
    for column, value in named.items():
        if value is None:
            tests.append((column, IS_NULL))
            continue
        reading = reading_of(type(value))  # type: ignore[arg-type]  # is hashable
        if reading is None:  # most of them
            tests.append((column, EQUALS))
            values.append(value)
        elif isinstance(value, Comparison):
            tests += _read_comparison(call, column, value, values)
        else:
            tests.append((column, _special(call, column, value, reading, values)))
    return tuple(tests), tuple(values)


def _other_conditions(call: str, where: object) -> tuple[Conditions, tuple[object, ...]]:
    """Return the tests and values of what is not one mapping of columns."""
    if isinstance(where, Expression):
        return where._as_expression(call)
    if isinstance(where, list | tuple):
        return _all_of(call, cast("Sequence[Condition]", where))
    if isinstance(where, Comparison):
        hint = f'{{"column": {where.call[:-1]}…)}}'
        raise InvalidBatch(f"{call}: {where.call} compares a column; write {hint}")
    raise not_columns(call, where) or InvalidBatch(
        f'{call}: pass a mapping of columns, a sql("…") fragment, or a list of these, not '
        f"{with_article(type(where))}"
    )


def _every_row(call: str, given: str) -> InvalidBatch:
    instead = "leave where= out" if call == "select(where=)" else 'write sql("true")'
    return InvalidBatch(f"{call}: {given} selects every row; if that is intended, {instead}")


def _read_comparison(
    call: str, column: str, comparison: Comparison, values: list[object]
) -> Iterator[ColumnTest]:
    for operator, value in comparison.tests:
        if operator == IS_NOT_NULL:
            yield column, IS_NOT_NULL
        else:
            operand, own = read_cell(call, value)
            values.extend(own)
            yield column, Compared(operator, operand)


def read_test(call: str, column: str, value: object, values: list[object]) -> str | RawSql:
    """Return the test for a value that is not None; add its parameters to ``values``.

    :raises InvalidBatch: for a value that cannot be compared.
    """
    reading = reading_of(type(value))  # type: ignore[arg-type]  # is hashable
    if reading is None:
        values.append(value)
        return EQUALS
    return _special(call, column, value, reading, values)


def _special(
    call: str, column: str, value: object, reading: Reading, values: list[object]
) -> str | RawSql:
    match reading:
        case Reading.CHOICE:
            test, choice = read_choice(call, column, cast("Sequence[object]", value))
            values.append(choice)
            return test
        case Reading.FRAGMENT:
            expression, own = cast("Expression", value)._as_expression(call)
            values.extend(own)
            return expression
        case Reading.OUTPUT:
            values.append(value)
            reference = _output_expression(cast("Output", value))
            return EQUALS_OUTPUT if isinstance(reference, OutputRef) else reference
        case Reading.PARAMETER:
            values.append(value)
            return _test_of(call, column, cast("Parameter", value))
        case Reading.NULL | Reading.COMPARISON | Reading.REFUSED:  # the caller reads the first two
            raise refused(call, column, type(value))


def _test_of(call: str, column: str, parameter: Parameter) -> str:
    """Return the test for a parameter, which its type decides."""
    accepted = parameter.accepted
    if accepted is not None and accepted.nullable:
        raise InvalidBatch(
            f"{call}: the parameter for {column!r:.40} may be None, which = never matches; write "
            f'sql("{column} IS NOT DISTINCT FROM %(value)s", value=…)'
        )
    return EQUALS_ANY if parameter.takes_list else EQUALS


def _all_of(call: str, conditions: Sequence[Condition]) -> tuple[Conditions, tuple[object, ...]]:
    """Join several conditions. A fragment among them is a condition of its own."""
    if not conditions:
        raise _every_row(call, "[]")
    tests: list[ColumnTest | RawSql] = []
    values: list[object] = []
    for condition in conditions:
        test, parameters = read_conditions(call, condition)
        tests.extend([test] if isinstance(test, RawSql) else test)
        values.extend(parameters)
    return tuple(tests), tuple(values)


def _output_expression(output: Output) -> RawSql | OutputRef:
    """Return the expression for an output, with its type if it declares one."""
    return OUTPUT if output.type is None else _typed_output(output.type)


@lru_cache(maxsize=256)
def _typed_output(type_: str) -> RawSql:
    return evolve(text("%(output)s", ("output",), (type_,)), is_output=True)


@frozen(eq=False)
class _Reader:
    """The columns and the values of rows of one class."""

    columns: tuple[str, ...]
    values: Callable[[Any], tuple[object, ...]]


@lru_cache(maxsize=1024)
def _reader(call: str, cls: type[Any]) -> _Reader | None:
    """Return how to read rows of a class; None for mappings, whose keys may differ."""
    columns = None if issubclass(cls, Special) else field_names(cls)
    if columns is not None:
        return _Reader(columns, field_reader(columns))
    if issubclass(cls, Mapping):
        return None
    raise InvalidBatch(
        f"{call}: a row must be a mapping of columns, or an attrs or dataclass object, not "
        f"{with_article(cls)}"
    )
