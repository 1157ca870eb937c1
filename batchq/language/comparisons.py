# SPDX-License-Identifier: MIT
"""What a value means where it is compared: itself, NULL, or one of a list.

A list or tuple means "one of these". The driver would take a tuple for one composite value and drop
the NULL of a list, and a guard made of either never fires, so neither is left to it.
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

from batchq.language.errors import InvalidBatch
from batchq.language.outputs import Output
from batchq.language.syntax import EQUALS_ANY, EQUALS_ANY_OR_NULL, Expression


class Reading(Enum):
    """How a condition reads a value."""

    NULL = "NULL"
    CHOICE = "one of these"
    FRAGMENT = "an expression"
    OUTPUT = "another statement's output"
    REFUSED = "nothing that a column is compared with"


_COLLECTIONS = (AbstractSet, Mapping, MappingView, Iterator, range, deque, array)
"""What holds values and is not a list. Not everything that can be iterated over: an IP network and
a multirange are values of a column."""


@lru_cache(maxsize=1024)
def reading_of(kind: type[object]) -> Reading | None:
    """Say how values of a type are read; None for those that stand for themselves."""
    if kind is NoneType:
        return Reading.NULL
    if issubclass(kind, Expression):
        return Reading.FRAGMENT
    if issubclass(kind, Output):
        return Reading.OUTPUT
    if _is_record(kind):
        return Reading.REFUSED
    if issubclass(kind, list | tuple):
        return Reading.CHOICE
    return Reading.REFUSED if issubclass(kind, _COLLECTIONS) else None


_MAY_BE_CHOSEN = (None, Reading.NULL, Reading.OUTPUT)
"""What a list may hold. An output among values is refused with the batch that it is in, as in any
other list: its statement alone does not say which."""


def _is_record(kind: type[object]) -> bool:
    return hasattr(kind, "_fields") and issubclass(kind, tuple)


def read_choice(column: str, choice: Sequence[object]) -> tuple[str, list[object]]:
    """Read "one of these": the test, and the values other than NULL, in a list of their own.

    None alone is tested as it is among others, so that the server refuses an array column whatever
    the list holds.

    :raises InvalidBatch: for a list that holds something other than values.
    """
    kinds = set(map(type, choice))
    for kind in kinds:
        if reading_of(kind) in _MAY_BE_CHOSEN:
            continue
        named = _named(kind)
        hint = f"a whole array is compared by {_whole(column)}"
        if issubclass(kind, Expression):
            hint = f'write {column} IN (…) with sql("…")'
        message = (
            f"{_at(column)} is a {type(choice).__name__} that holds {named}, and a list "
            f"means one of these values: {hint}"
        )
        raise InvalidBatch(message)
    if NoneType in kinds:
        return EQUALS_ANY_OR_NULL, [value for value in choice if value is not None]
    return EQUALS_ANY, list(choice)


def refused(column: str, kind: type[object]) -> InvalidBatch:
    """Say what to write instead of a value that holds others and is not a list."""
    named = _named(kind)
    hint = "for one of these values write list(…)"
    if issubclass(kind, Mapping):
        hint = "wrap a document in psycopg.types.json.Jsonb(…)"
    elif _is_record(kind):
        hint += f"; a whole composite is compared by {_whole(column)}"
    return InvalidBatch(f"{_at(column)} is {named}: {hint}")


def kept(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Copy the lists among values: a statement stays what it is, whatever becomes of them."""
    return tuple(_copied(values)) if list in map(type, values) else values


def _copied(values: Sequence[Any]) -> list[Any]:
    if list not in map(type, values):
        return list(values)
    return [
        _copied(value) if type(value) is list else value  # pyright: ignore[reportUnknownArgumentType]
        for value in values
    ]


def _at(column: str) -> str:
    return f"the value for {column!r:.40} in a condition"


def _named(kind: type[object]) -> str:
    return f"{'an' if kind.__name__[:1] in 'aeiouAEIOU' else 'a'} {kind.__name__}"


def _whole(column: str) -> str:
    return f'sql("{column} = %(value)s", value=…)'
