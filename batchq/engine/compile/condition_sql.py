# SPDX-License-Identifier: MIT
"""Write the test of one column.

A test and its complement are written with the same ``=``: ``("c" = $1) IS NOT TRUE`` is true for
exactly the rows for which ``"c" = $1`` is not, whatever is NULL, and the server infers the same
type for the value.
"""

from __future__ import annotations

from collections.abc import Callable

from batchq.engine.compile.numbering import Numbering
from batchq.engine.compile.parameter_places import Place
from batchq.language.errors import InvalidBatch
from batchq.language.syntax import (
    EQUALS,
    EQUALS_ANY,
    EQUALS_ANY_OR_NULL,
    EQUALS_OUTPUT,
    IS_NOT_NULL,
    IS_NULL,
    LIKE,
    NOT_ANY,
    NOT_ANY_NOR_NULL,
    NOT_EQUALS,
    Compared,
    RawSql,
)


def column_test(
    n: Numbering,
    table: str | None,
    column: str,
    test: str | RawSql | Compared,
    fragment: Callable[[RawSql], str],
) -> str:
    """Return the SQL of a test of a column.

    :param table: the table of the column; None if it is not known, and no output is allowed.
    :param fragment: writes a fragment of the user's.
    """
    name = n.column(column)
    if isinstance(test, Compared):
        return _compared(n, table, column, test, fragment)
    if isinstance(test, RawSql):
        value = f"({fragment(test)})"
        return _equals_output(name, value) if test.is_output else f"{name} = {value}"
    if test in (IS_NULL, IS_NOT_NULL):
        return f"{name} {test}"
    if test == EQUALS_OUTPUT:
        return _equals_output(name, _output(n, table, column))
    if test == EQUALS_ANY_OR_NULL:
        check, is_listed = n.compare(table, column, Place.LISTED)
        return f"{check}({is_listed} OR {name} IS NULL)"
    return "".join(n.compare(table, column, Place.LISTED if test == EQUALS_ANY else Place.COMPARED))


def _complement(test: Compared) -> str | RawSql | None:
    """Return the test that finds exactly the rows that this does not; None if it is none itself."""
    if test.operator != NOT_EQUALS:
        return {NOT_ANY: EQUALS_ANY, NOT_ANY_NOR_NULL: EQUALS_ANY_OR_NULL}.get(test.operator)
    if test.operand is None:
        return EQUALS
    return test.operand if isinstance(test.operand, RawSql) else EQUALS_OUTPUT


def _compared(
    n: Numbering,
    table: str | None,
    column: str,
    compared: Compared,
    fragment: Callable[[RawSql], str],
) -> str:
    complement = _complement(compared)
    if complement is not None:
        return f"({column_test(n, table, column, complement, fragment)}) IS NOT TRUE"
    name, operator, operand = n.column(column), compared.operator, compared.operand
    if isinstance(operand, RawSql):
        return f"{name} {operator} ({fragment(operand)})"
    if operand is not None:
        return f"{name} {operator} {_output(n, table, column)}"
    if operator == LIKE:
        # A pattern is text, whatever the column is. A server would infer the type of some columns.
        return f"{name} LIKE {n.parameter(Place.CAST)}::pg_catalog.text"
    return "".join(n.compare(table, column, Place.COMPARED, operator))


def _output(n: Numbering, table: str | None, column: str) -> str:
    if table is None:
        message = f"the type of the output for {column!r} is unknown; compare it in sql(…)"
        raise InvalidBatch(message)
    return n.output(table, column)


def _equals_output(name: str, output: str) -> str:
    """Return a comparison in which NULL matches NULL, as a None does. An index serves each part."""
    return f"({name} = {output} OR ({name} IS NULL AND {output} IS NULL))"
