# SPDX-License-Identifier: MIT
"""Check the values of a page: when they are written, and when they are bound."""

from __future__ import annotations

from batchq.language.accepted import Accepted
from batchq.language.comparisons import reading_of
from batchq.language.errors import InvalidBatch
from batchq.language.parameters import Parameter
from batchq.language.special import Unwritable
from batchq.language.spelling import spelled, with_article
from batchq.language.value_places import AFTER, AFTER_NOT_NULL, LIMIT

PAGE_TESTS = frozenset({AFTER, AFTER_NOT_NULL, LIMIT})
"""The places of these values among those of a statement."""

_MOST = 2**63 - 1
"""The greatest bigint."""


def check_page_value(call: str, test: str, name: str, value: object) -> None:
    """Reject what cannot be the value of a page.

    :param call: the call that it was passed to, for the text of the error: ``"bind()"``.
    :param test: the place of the value: one of :data:`PAGE_TESTS`.
    :param name: the column or the parameter.
    """
    if isinstance(value, Parameter):
        _check_parameter(call, test, value)
    elif test == LIMIT:
        _check_limit(call, name, value)
    elif value is None:
        if test == AFTER_NOT_NULL:
            raise InvalidBatch(
                f"{call}: {name!r} is None, and its column is declared with nullable=False; pass a "
                f"value, or drop nullable=False"
            )
    elif reading_of(type(value)) is not None:  # type: ignore[arg-type]  # a class is hashable
        hint = "the value of one column, or write the page as sql()"
        hint = "its .value" if isinstance(value, Unwritable) else hint
        raise InvalidBatch(f"{call}: {name!r} is {with_article(type(value))}; pass {hint}")


def _check_limit(call: str, name: str, value: object) -> None:
    if type(value) is not int:
        raise InvalidBatch(
            f"{call}: {name!r} is a number of rows; pass an int, not {with_article(type(value))}"
        )
    if not 0 <= value <= _MOST:
        raise InvalidBatch(f"{call}: {name!r} is {value}; pass a number of rows, from 0")


def _check_parameter(call: str, test: str, parameter: Parameter) -> None:
    accepted, name = parameter.accepted, parameter.name
    if accepted is None:  # the field of a row, whose values are checked by themselves
        return
    if test == LIMIT:
        if accepted not in (Accepted(int), Accepted(object)):
            raise InvalidBatch(
                f"{call}: the parameter {name!r} takes {accepted}; declare it as "
                f"param({spelled(name)}, int)"
            )
    elif accepted.nullable and test == AFTER_NOT_NULL:
        raise InvalidBatch(
            f"{call}: the parameter {name!r} may be None, and its column is declared with "
            f"nullable=False; declare it without None"
        )
    elif parameter.takes_list:
        raise InvalidBatch(f"{call}: {name!r} is a parameter for a list; declare it for one value")
