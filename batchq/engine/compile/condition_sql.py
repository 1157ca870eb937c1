# SPDX-License-Identifier: MIT
"""Write the test of one column.

A test and its complement are written with the same ``=``: ``("c" = $1) IS NOT TRUE`` is true for
exactly the rows for which ``"c" = $1`` is not, whatever is NULL, and the server infers the same
type for the value. The check of that type stands before both.
"""

from __future__ import annotations

from collections.abc import Callable

from batchq.engine.compile.numbering import Numbering
from batchq.engine.compile.parameter_places import Place
from batchq.engine.compile.quoting import identifier
from batchq.language.errors import InvalidBatch
from batchq.language.syntax import (
    EQUALS_ANY,
    EQUALS_ANY_OR_NULL,
    EQUALS_OUTPUT,
    IS_NOT_NULL,
    IS_NULL,
    LIKE,
    NOT_ANY,
    NOT_ANY_NOR_NULL,
    NOT_EQUALS,
    OUTPUT,
    Compared,
    OutputRef,
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
    name = identifier(column)
    if isinstance(test, RawSql):
        return _equals(n, table, column, test, fragment)
    if isinstance(test, Compared):
        return _compared(n, table, column, test, fragment)
    if test in (IS_NULL, IS_NOT_NULL):
        return f"{name} {test}"
    if test == EQUALS_OUTPUT:
        return _equals(n, table, column, OUTPUT, fragment)
    if test in (EQUALS_ANY, EQUALS_ANY_OR_NULL):
        check, listed = _is_listed(n, table, column, or_null=test == EQUALS_ANY_OR_NULL)
        return f"{check}({listed})" if test == EQUALS_ANY_OR_NULL else check + listed
    return "".join(n.compare(table, column, Place.COMPARED))


def _compared(
    n: Numbering,
    table: str | None,
    column: str,
    compared: Compared,
    fragment: Callable[[RawSql], str],
) -> str:
    operator, operand = compared.operator, compared.operand
    if operator in (NOT_ANY, NOT_ANY_NOR_NULL):
        check, test = _is_listed(n, table, column, or_null=operator == NOT_ANY_NOR_NULL)
        return f"{check}({test}) IS NOT TRUE"
    if operator == NOT_EQUALS:
        if operand is not None:
            return f"({_equals(n, table, column, operand, fragment)}) IS NOT TRUE"
        check, test = n.compare(table, column, Place.COMPARED)
        return f"{check}({test}) IS NOT TRUE"
    if operand is not None:
        return f"{identifier(column)} {operator} {_operand(n, table, column, operand, fragment)}"
    if operator == LIKE:
        # A pattern is text, whatever the column is. A server would infer the type of some columns.
        return f"{identifier(column)} LIKE {n.parameter(Place.CAST)}::pg_catalog.text"
    return "".join(n.compare(table, column, Place.COMPARED, operator))


def _is_listed(n: Numbering, table: str | None, column: str, *, or_null: bool) -> tuple[str, str]:
    """Return the check of the column's type, if needed, and whether a list contains the column."""
    check, test = n.compare(table, column, Place.LISTED)
    return check, f"{test} OR {identifier(column)} IS NULL" if or_null else test


def _equals(
    n: Numbering,
    table: str | None,
    column: str,
    operand: RawSql | OutputRef,
    fragment: Callable[[RawSql], str],
) -> str:
    """Return an equality. NULL matches the NULL of an output, as a None does."""
    name, value = identifier(column), _operand(n, table, column, operand, fragment)
    if isinstance(operand, RawSql) and not operand.is_output:
        return f"{name} = {value}"
    # An index serves each part.
    return f"({name} = {value} OR ({name} IS NULL AND {value} IS NULL))"


def _operand(
    n: Numbering,
    table: str | None,
    column: str,
    operand: RawSql | OutputRef,
    fragment: Callable[[RawSql], str],
) -> str:
    if isinstance(operand, RawSql):
        return f"({fragment(operand)})"
    if table is None:
        message = f"the type of the output for {column!r} is unknown; compare it in sql(…)"
        raise InvalidBatch(message)
    return n.output(table, column)
