# SPDX-License-Identifier: MIT
"""Check what a column is compared with, by its operator: when it is written, and when it is bound.

A comparison with NULL matches no row, and a guard made of it fails always or never.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from batchq.language.comparisons import (
    Comparison,
    Reading,
    is_record,
    read_choice,
    reading_of,
    refused,
)
from batchq.language.errors import InvalidBatch
from batchq.language.page_values import PAGE_TESTS, check_page_value
from batchq.language.parameters import Fields, Parameter
from batchq.language.special import Unwritable
from batchq.language.spelling import spelled, with_article
from batchq.language.syntax import (
    EQUALS,
    EQUALS_ANY,
    LIKE,
    NOT_ANY,
    NOT_EQUALS,
    TAKES_LIST,
    Expression,
)
from batchq.language.value_places import LIMIT, VERSION


def check_operand(call: str, operator: str, value: object) -> None:
    """Reject what an operator other than ``=`` does not compare a column with.

    :param call: the function that it was passed to, for the text of the error: ``"lt()"``.
    """
    if isinstance(value, Parameter):
        _check_parameter(call, operator, value)
    elif isinstance(value, Expression):
        value._as_expression(call)
        if operator == NOT_ANY:
            raise InvalidBatch(f'{call}: pass a list; write "column NOT IN (…)" as sql()')
    elif value is None:
        raise InvalidBatch(_of_none(call, operator))
    else:
        reason = _why_not(operator, value)
        if reason is not None:
            raise InvalidBatch(f"{call}: {reason}")


def _why_not(operator: str, value: object) -> str | None:
    """Return why a value other than None does not fit an operator; None if it does."""
    reading = reading_of(type(value))  # type: ignore[arg-type]  # a class is hashable
    named = with_article(type(value))
    if operator == NOT_ANY:
        hint = "its items write list(…)" if reading is Reading.REFUSED else "one value write ne(…)"
        is_list = reading is Reading.CHOICE
        return None if is_list else f"pass a list or a tuple, not {named}; for {hint}"
    if operator == LIKE:
        hint = 'write sql("column LIKE %(pattern)s", pattern=…)'
        is_text = isinstance(value, str)
        return None if is_text else f"the pattern must be a str, not {named}; for others {hint}"
    fits = reading in (None, Reading.OUTPUT)
    return None if fits else f"pass one value, not {_instead(operator, value)}"


def _of_none(call: str, operator: str) -> str:
    if operator == NOT_ANY:
        return f"{call}: pass a list, not None; for the rows without NULL write ne(None)"
    if operator == LIKE:
        return f"{call}: NULL is not a pattern, and matches no row; pass a str"
    return (
        f"{call}: NULL is not less or greater than any value, so no row would match; for the rows "
        f"with NULL write None, for those without write ne(None)"
    )


def _instead(operator: str, value: object) -> str:
    """Return the words for a value that is not one value, and what to write."""
    kind = type(value)
    if isinstance(value, Comparison):
        return f"{value.call}; write only that"
    if isinstance(value, Fields):
        return "row(…); name one field of it"
    if isinstance(value, Unwritable):
        return f"{with_article(kind)}; {value._instead}"
    whole = f'to compare a whole one write sql("column {operator} %(value)s", value=…)'
    if isinstance(value, list | tuple) and operator == NOT_EQUALS and not is_record(kind):
        return f"{with_article(kind)}; for none of several write not_in(…); {whole}"
    return f"{with_article(kind)}; {whole}"


def _check_parameter(call: str, operator: str, parameter: Parameter) -> None:
    accepted, name = parameter.accepted, parameter.name
    if operator == NOT_ANY and not parameter.takes_list:
        raise InvalidBatch(
            f"{call}: {name!r} is not a parameter for a list; write ne(…), or declare it as "
            f"param({spelled(name)}, list[…])"
        )
    if operator != NOT_ANY and parameter.takes_list:
        hint = "; write not_in(…)" if operator == NOT_EQUALS else ", and this compares one value"
        raise InvalidBatch(f"{call}: {name!r} is a parameter for a list{hint}")
    if accepted is None:
        return
    if accepted.nullable:
        hint = "declare it without None"
        if operator == NOT_EQUALS:
            hint = f'write sql("column IS DISTINCT FROM %({name})s", {name}=…)'
        raise InvalidBatch(f"{call}: the parameter {name!r} may be None; {hint}")
    if operator == LIKE and not issubclass(accepted.kind, str) and accepted.kind is not object:
        raise InvalidBatch(f"{call}: the pattern must be a str, and {name!r} takes {accepted}")


ALWAYS_CHECKED = TAKES_LIST | {LIKE, LIMIT}
"""The tests whose bound values are all checked; those of others only if of a special type."""


def check_compared(call: str, value: object, name: str, test: str) -> None:
    """Reject a bound value that its condition would never match, or that needs another one.

    :param call: ``"bind()"``, or another call that sets the value.
    :param name: the name of the parameter.
    :param test: the test of the column, as in :data:`ValuePlace`.
    """
    if test in PAGE_TESTS:
        check_page_value(call, test, name, value)
        return
    if test == VERSION:
        if value is None:
            raise without_version(call, name)
        return
    if value is None:
        raise InvalidBatch(f"{call}: {name!r} {_BOUND_TO_NONE.get(test, _NEVER.format(test))}")
    kind = type(value)
    if isinstance(value, list | tuple):
        if test not in TAKES_LIST:
            hint = _DECLARED_FOR_LIST.get(test, "write the condition as sql()").format(name)
            raise InvalidBatch(
                f"{call}: {name!r} is compared by {test}, and is {with_article(kind)}; {hint}"
            )
        if None in value:
            hint = 'declare {"column": ne(None)} as well' if test == NOT_ANY else _NEVER_ANY
            raise InvalidBatch(f"{call}: {name!r} contains None, {hint}")
        read_choice(call, name, cast("Sequence[object]", value))
    elif test in TAKES_LIST or reading_of(kind) is not None:  # type: ignore[arg-type]
        raise refused(call, name, kind)
    elif test == LIKE and not isinstance(value, str):
        raise InvalidBatch(
            f"{call}: {name!r} is a pattern, and must be a str, not {with_article(kind)}"
        )


def without_version(call: str, name: str) -> InvalidBatch:
    """Return the error for a version of a row that is NULL, so neither lower nor higher."""
    return InvalidBatch(f"{call}: {name!r} is or may be None; set it to a version")


_NEVER_ANY = "which = ANY never matches"
_DECLARED_FOR_LIST = {
    EQUALS: 'declare it as param("{}", list[…])',
    NOT_EQUALS: 'declare it in not_in() as param("{}", list[…])',
}
_NEVER = "is compared by {}, which NULL never matches; bind a value"
_EQUAL = (
    "is compared by =, which NULL never matches; declare the condition as "
    'sql("… IS NOT DISTINCT FROM %(value)s", value=…)'
)
_BOUND_TO_NONE = {
    EQUALS: _EQUAL,
    EQUALS_ANY: _EQUAL,
    NOT_EQUALS: "is None, and ne(…) is declared for a value; declare the condition as "
    'sql("… IS DISTINCT FROM %(value)s", value=…)',
    NOT_ANY: "is None, and not_in(…) takes a list",
}


def check_lists(call: str, lists: Iterable[object]) -> None:
    """Reject a ``where=`` of ``not_in()`` alone if all lists are empty: it selects every row."""
    if all(isinstance(each, list | tuple) and not each for each in lists):
        raise InvalidBatch(
            f"{call}: not_in([]) alone selects every row; if that is intended, write "
            f'where=sql("true")'
        )
