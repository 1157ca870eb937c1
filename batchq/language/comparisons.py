# SPDX-License-Identifier: MIT
"""Read the value of a condition: a value to compare with, NULL, or a list of choices.

A list or tuple is "one of these". It is not passed to the driver as it is: psycopg adapts a tuple
to one composite value, and ``= ANY`` never matches the NULL of a list. A guard made of either would
never fail.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator, Mapping, MappingView, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from functools import lru_cache
from types import NoneType
from typing import Any

from attrs import frozen

from batchq.language.errors import InvalidBatch
from batchq.language.outputs import Output
from batchq.language.parameters import Fields, Parameter
from batchq.language.special import NO_PARAMETERS, NOT_AS_IS, UNWRITABLE, Special, Unwritable
from batchq.language.spelling import with_article
from batchq.language.syntax import EQUALS_ANY, EQUALS_ANY_OR_NULL, Expression


class Reading(Enum):
    """How a condition interprets a value."""

    NULL = "NULL"
    CHOICE = "one of these"
    FRAGMENT = "an expression"
    OUTPUT = "another statement's output"
    PARAMETER = "a parameter"
    COMPARISON = "a comparison by another operator"
    REFUSED = "not a value to compare a column with"


@frozen(eq=False, repr=False)
class Comparison(Special):
    """A comparison in the place of a value, by another operator than ``=``.

    It is made by the functions of :mod:`batchq.conditions`.
    """

    call: str
    """The function that made it, for messages: ``lt()``."""
    tests: tuple[tuple[str, object], ...]
    """Operators, each with what a column is compared with."""

    def __repr__(self) -> str:
        """Return the call, without values."""
        return f"<{self.call[:-2]}(…)>"


_COLLECTIONS = (AbstractSet, Mapping, MappingView, Iterator, range, deque, array)
"""Collections that are not lists, rejected in conditions. Other iterables are allowed: a column may
contain an IP network or a multirange."""


_SPECIAL: tuple[tuple[type[object], Reading], ...] = (
    (Expression, Reading.FRAGMENT),
    (Output, Reading.OUTPUT),
    (Parameter, Reading.PARAMETER),
    (Comparison, Reading.COMPARISON),
    (Fields, Reading.REFUSED),
    (Unwritable, Reading.REFUSED),
)


@lru_cache(maxsize=1024)
def reading_of(kind: type[object]) -> Reading | None:
    """Return how values of a type are interpreted; None for plain values."""
    if kind is NoneType:
        return Reading.NULL
    for base, reading in _SPECIAL:
        if issubclass(kind, base):
            return reading
    if is_record(kind):
        return Reading.REFUSED
    if issubclass(kind, list | tuple):
        return Reading.CHOICE
    return Reading.REFUSED if issubclass(kind, _COLLECTIONS) else None


_MAY_BE_CHOSEN = (None, Reading.NULL, Reading.OUTPUT)
"""What a list of choices may contain. An output in it is rejected when the batch is encoded, as in
any other list: only then is the step known, which the error names."""


def is_record(kind: type[object]) -> bool:
    """Return True for a named tuple, which psycopg adapts to one composite value."""
    return hasattr(kind, "_fields") and issubclass(kind, tuple)


def read_choice(call: str, column: str, choice: Sequence[object]) -> tuple[str, list[object]]:
    """Return the test for a list of choices, and a new list of its values other than NULL.

    A list of None alone has the same test as one of None and values, so that the server rejects an
    array column whatever the list contains.

    :param call: the call that it was passed to, for the text of the error: ``"update(where=)"``.
    :raises InvalidBatch: if the list contains anything but values.
    """
    kinds = set(map(type, choice))
    for kind in kinds:
        if reading_of(kind) in _MAY_BE_CHOSEN:
            continue
        named, hint = with_article(kind), f"to compare with a whole array write {_whole(column)}"
        if issubclass(kind, Parameter):
            hint = f'for the whole list write param("{column}", list[…])'
        if issubclass(kind, Expression):
            hint = f'write {column} IN (…) in sql("…")'
        if issubclass(kind, Comparison):
            named, hint = "a comparison", "use it in the place of the list"
        if issubclass(kind, Fields):
            named, hint = _WHOLE_ROW
        if issubclass(kind, Unwritable):
            hint = kind._instead
        raise InvalidBatch(
            f"{_at(call, column)} is {with_article(type(choice))} of choices that contains "
            f"{named}; {hint}"
        )
    if NoneType in kinds:
        return EQUALS_ANY_OR_NULL, [value for value in choice if value is not None]
    return EQUALS_ANY, list(choice)


def refused(call: str, column: str, kind: type[object]) -> InvalidBatch:
    """Return the error for a collection that is not a list; it names what to write instead."""
    named = with_article(kind)
    hint = "for one of its items write list(…)"
    if issubclass(kind, Mapping):
        hint = "wrap a JSON document in psycopg.types.json.Jsonb(…)"
    elif is_record(kind):
        hint += f"; to compare with a whole composite write {_whole(column)}"
    elif issubclass(kind, Fields):
        named, hint = _WHOLE_ROW
    elif issubclass(kind, Unwritable):
        hint = kind._instead
    return InvalidBatch(f"{_at(call, column)} is {named}; {hint}")


def copy_lists(call: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the values with lists copied: changing a list does not change a statement.

    :param call: the call that they were passed to, for the text of the error: ``"insert()"``.
    :raises InvalidBatch: for a list that contains itself, and for a whole :func:`row`.
    """
    if NOT_AS_IS.isdisjoint(map(type, values)):
        return values
    if not NO_PARAMETERS.isdisjoint(map(type, values)):
        _check_values(call, values)
    return tuple(with_copies(call, values))


def with_copies(call: str, values: Sequence[Any], outer: tuple[int, ...] = ()) -> list[Any]:
    """Return values that have been checked, with lists and the lists in them copied.

    :param outer: the identities of the lists that they are in.
    :raises InvalidBatch: as :func:`copy_lists`.
    """
    copies = list(values)
    for place, value in enumerate(values):
        if type(value) is list:
            own: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
            is_flat = NOT_AS_IS.isdisjoint(map(type, own))
            copies[place] = own[:] if is_flat else _copy_nested(call, own, outer)
    return copies


def _copy_nested(call: str, own: list[Any], outer: tuple[int, ...]) -> list[Any]:
    if not NO_PARAMETERS.isdisjoint(map(type, own)):
        _check_values(call, own)
    if id(own) in outer:
        raise InvalidBatch(f"{call}: a list contains itself; pass a list that ends")
    return with_copies(call, own, (*outer, id(own)))


def _check_values(call: str, values: Sequence[object]) -> None:
    """Reject special values that no place takes."""
    kinds = set(map(type, values))
    if Fields in kinds:
        named, hint = _WHOLE_ROW
        raise InvalidBatch(f"{call}: a value is {named}; {hint}")
    if Comparison in kinds:
        used = next(value.call for value in values if isinstance(value, Comparison))
        raise InvalidBatch(
            f"{call}: a value is {used}, which is a condition; use it in where=, require(), "
            f"refuse() or ensure()"
        )
    if not kinds.isdisjoint(UNWRITABLE):
        (kind, *_) = kinds.intersection(UNWRITABLE)
        raise InvalidBatch(f"{call}: a value is {with_article(kind)}; {UNWRITABLE[kind]}")


_WHOLE_ROW = "row(…)", "name one field of it"
"""How errors name a whole row in the place of a value, and what to write instead."""


def _at(call: str, column: str) -> str:
    return f"{call}: the value for {column!r:.40}"


def _whole(column: str) -> str:
    return f'sql("{column} = %(value)s", value=…)'
