# SPDX-License-Identifier: MIT
"""Compare a column by another operator than ``=``: the functions of :mod:`batchq.conditions`.

Equality of a value, and being one of a list, have exact complements here: what ``{"c": x}`` does
not find, ``{"c": ne(x)}`` finds, rows with NULL among them. The ordered comparisons are those of
SQL, which find no row with NULL.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from batchq.language.comparisons import Comparison, read_choice
from batchq.language.operands import check_operand
from batchq.language.parameters import Parameter
from batchq.language.syntax import (
    EQUALS_ANY,
    IS_NOT_NULL,
    LIKE,
    NOT_ANY,
    NOT_ANY_NOR_NULL,
    NOT_EQUALS,
)


def ne(value: object, /) -> Comparison:
    """Find the rows that ``{"column": value}`` does not: those with another value or NULL.

    :param value: a value, a parameter, a ``sql()`` fragment or an output. None is IS NOT NULL.
    :raises InvalidBatch: for a list, which is for :func:`not_in`.

    >>> from batchq import delete, steps
    >>> steps(delete("job", where={"id": 7, "state": ne("done"), "locked_by": ne(None)}))[0].sql
    'DELETE FROM "job" WHERE "id" = $1 AND ("state" = $2) IS NOT TRUE AND "locked_by" IS NOT NULL'
    """
    if value is None:
        return Comparison("ne()", ((IS_NOT_NULL, None),))
    return _comparison("ne()", NOT_EQUALS, value)


def lt(value: object, /) -> Comparison:
    """Find the rows whose column is less than a value; none with NULL.

    :param value: a value, a parameter, a ``sql()`` fragment or an output.
    :raises InvalidBatch: for None, which nothing is less than, and for a list.

    >>> from batchq import update
    >>> update("job", {"state": "queued"}, {"id": 7}).require({"attempts": lt(5)})
    <Statement update job: exactly 1 row, require("attempts" < …)>
    """
    return _comparison("lt()", "<", value)


def le(value: object, /) -> Comparison:
    """Find the rows whose column is less than a value or equal to it; as :func:`lt`."""
    return _comparison("le()", "<=", value)


def gt(value: object, /) -> Comparison:
    """Find the rows whose column is greater than a value; as :func:`lt`."""
    return _comparison("gt()", ">", value)


def ge(value: object, /) -> Comparison:
    """Find the rows whose column is greater than a value or equal to it; as :func:`lt`."""
    return _comparison("ge()", ">=", value)


def between(low: object, high: object, /) -> Comparison:
    """Find the rows whose column is between two values or equal to one of them; as :func:`lt`.

    >>> from batchq import select, steps
    >>> steps(select("host", ["id"], where={"port": between(8000, 8999)}))[0].sql
    'SELECT "id" FROM "host" WHERE "port" >= $1 AND "port" <= $2'
    """
    for value in low, high:
        check_operand("between()", ">=", value)
    return Comparison("between()", ((">=", low), ("<=", high)))


def like(pattern: object, /) -> Comparison:
    """Find the rows whose text matches a pattern: ``%`` is any text, ``_`` any character.

    A backslash before either makes it itself, so escape text that a user has typed.

    :param pattern: a str, a parameter for one, or a ``sql()`` fragment.
    :raises InvalidBatch: for anything else.

    >>> from batchq import select, steps
    >>> steps(select("host", ["id"], where={"name": like("web-%")}))[0].sql
    'SELECT "id" FROM "host" WHERE "name" LIKE $1::pg_catalog.text'
    """
    return _comparison("like()", LIKE, pattern)


def not_in(values: object, /) -> Comparison:
    """Find the rows that ``{"column": values}`` does not: those with none of these values.

    A row with NULL is among them, unless the list contains None. An empty list finds every row; as
    the only condition of an update or a delete it is rejected.

    :param values: a list or a tuple, or a parameter for a list.
    :raises InvalidBatch: for anything else.

    >>> from batchq import select, steps
    >>> steps(select("job", ["id"], where={"state": not_in(["done", "failed"])}))[0].sql
    'SELECT "id" FROM "job" WHERE ("state" = ANY($1)) IS NOT TRUE'
    """
    check_operand("not_in()", NOT_ANY, values)
    if isinstance(values, Parameter):
        return Comparison("not_in()", ((NOT_ANY, values),))
    test, choice = read_choice("not_in()", "column", cast("Sequence[object]", values))
    operator = NOT_ANY if test == EQUALS_ANY else NOT_ANY_NOR_NULL
    return Comparison("not_in()", ((operator, choice),))


def _comparison(call: str, operator: str, value: object) -> Comparison:
    check_operand(call, operator, value)
    return Comparison(call, ((operator, value),))
