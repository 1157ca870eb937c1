# SPDX-License-Identifier: MIT
"""Find a row again by the key of an insert: by values, by expressions of them, and by NULL."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar, cast

from batchq.language.builders import raw_sql
from batchq.language.comparisons import Reading, reading_of
from batchq.language.errors import InvalidBatch
from batchq.language.lexing import tokens
from batchq.language.parameters import Parameter
from batchq.language.quoted_names import quoted_name
from batchq.language.spelling import with_article
from batchq.language.statement import Statement
from batchq.language.syntax import Expression, Insert, RawSql
from batchq.language.validation import check_column, listed, repeated
from batchq.patterns.insert_values import value_of

K = TypeVar("K")

Key = str | Expression
"""A column of a unique index, or an expression of it."""


def checked_key(call: str, names: Iterable[K], example: str) -> tuple[K, ...]:
    """Return the columns and expressions of a unique index that an argument names.

    :param call: the call and argument: ``"insert_or_get(key=)"``.
    :param example: a list for that argument: ``'["id"]'``.
    :raises InvalidBatch: for another type, or a column that is there twice.
    """
    keys = listed(call, names, example)
    if not keys:
        raise InvalidBatch(f"{call}: name the columns of a unique index, such as {example}")
    columns = [cast("str", name) for name in keys if not isinstance(name, Expression)]
    checked_names(call, columns, example)
    return keys


def checked_names(call: str, names: Iterable[str], example: str) -> tuple[str, ...]:
    """Return the columns that an argument names, each once; there may be none.

    :raises InvalidBatch: as :func:`checked_key`.
    """
    columns = listed(call, names, example)
    for name in columns:
        check_column(call, name)
    if twice := repeated(columns):
        raise InvalidBatch(f"{call}: {twice!r} is there twice; name it once")
    return columns


def conditions_of(
    inserting: Statement[Any], keys: tuple[Key, ...], *, nulls_not_distinct: bool
) -> tuple[dict[str, object], list[Expression]]:
    """Return what finds the inserted row, or the one that it conflicts with.

    :param nulls_not_distinct: whether the index is NULLS NOT DISTINCT, so that it finds NULL.
    :return: columns with their values, and comparisons of expressions.
    :raises InvalidBatch: if the row has no values for them.
    """
    known: dict[str, object] = {}
    conditions: list[Expression] = []
    for key in keys:
        if isinstance(key, Expression):
            conditions.append(_equals_expression(inserting, key))
            continue
        value = plain_value("insert_or_get()", inserting, key)
        if nulls_not_distinct and _may_be_null(value):
            conditions.append(_equals_or_null(key, value))
        elif value is None and not nulls_not_distinct:
            raise InvalidBatch(
                f"insert_or_get(key=): {key!r} is NULL, which a unique index does not find; set "
                f"it, or pass nulls_not_distinct=True if the index is NULLS NOT DISTINCT"
            )
        else:
            known[key] = value
    return known, conditions


def _may_be_null(value: object) -> bool:
    accepted = value.accepted if isinstance(value, Parameter) else None
    return accepted is not None and accepted.nullable


def _equals_or_null(column: str, value: object) -> Expression:
    name = quoted_name(column).replace("%", "%%")
    return raw_sql(f"{name} = %(v)s OR ({name} IS NULL AND %(v)s IS NULL)", v=value)


def _equals_expression(inserting: Statement[Any], key: Expression) -> Expression:
    """Return the comparison of an expression with what it is for the row to insert.

    The values get the types of their columns by UNION ALL. The join has the other columns, which
    are NULL there: without them a name would mean a column of the row that is looked for.
    """
    expression, _ = key._as_expression("insert_or_get(key=)")
    if expression.names:
        raise InvalidBatch(
            "insert_or_get(key=): sql() has a parameter; write its value in the text"
        )
    text = expression.pieces[0].replace("%", "%%") + "\n"
    words = {token.strip('"').replace('""', '"') for kind, token in tokens(text) if kind == "name"}
    words |= {token.lower() for kind, token in tokens(text) if kind == "word"}
    source = cast("Insert", inserting._shape.source)
    used = [column for column in source.columns if column in words]
    if not used:
        raise InvalidBatch(
            "insert_or_get(key=): the sql() names no column of the row; name those of the index"
        )
    names = ", ".join(map(quoted_name, used)).replace("%", "%%")
    values = {
        f"v{n}": plain_value("insert_or_get()", inserting, column) for n, column in enumerate(used)
    }
    given = ", ".join(f"%({name})s" for name in values)
    table = ".".join(map(quoted_name, source.table.split("."))).replace("%", "%%")
    new = f"(SELECT {names} FROM {table} WHERE false UNION ALL SELECT {given}) AS _batchq_new"  # noqa: S608  names are quoted
    rest = f"(SELECT * FROM {table} WHERE false) AS _batchq_rest"  # noqa: S608
    given_key = f"(SELECT ({text}) FROM {new} NATURAL LEFT JOIN {rest})"  # noqa: S608
    return raw_sql(f"({text}) = {given_key}", values)


def plain_value(call: str, inserting: Statement[Any], column: str) -> object:
    """Return the value of a column of a key, by which the row is found again.

    :raises InvalidBatch: if it is an expression, or is not compared by ``=``.
    """
    value = check_set(call, inserting, column)
    if isinstance(value, RawSql):
        raise InvalidBatch(
            f"{call}: {column!r} is an expression; pass a value, to find the row again"
        )
    reading = reading_of(type(value))  # type: ignore[arg-type]  # is hashable
    is_list = isinstance(value, Parameter) and value.takes_list
    if is_list or reading is Reading.CHOICE or reading is Reading.REFUSED:
        kind = "a list" if is_list else with_article(type(value))
        raise InvalidBatch(
            f"{call}: {column!r} is {kind}, and a row is found again by plain values; leave the "
            f"column out of its key"
        )
    return value


def check_set(call: str, inserting: Statement[Any], column: str) -> object:
    """Return the value or fragment that an insert assigns to a column.

    :raises InvalidBatch: without one.
    """
    source = cast("Insert", inserting._shape.source)
    if column not in source.columns:
        raise InvalidBatch(f"{call}: the row has no {column!r}; set it")
    return value_of(source, inserting._values, column)
