# SPDX-License-Identifier: MIT
"""Find out what the values of a batch are, and change those that psycopg would send differently.

A service sends values of the same classes again and again. So it is found once for each sequence of
classes at which places the integers, the lists and the NULLs are.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from itertools import chain
from types import NoneType
from typing import Any

from psycopg.types.numeric import Int8

from batchq.engine.wire.integers import BEYOND_BIGINT, UNSTABLE, new_bigint, stable

Kinds = AbstractSet[type[object]]

_MOST_VALUES = 1024
"""The number of values up to which the places are kept."""


Sendable = tuple[Sequence[object], Kinds, tuple[int, ...]]
"""Values that can be passed to psycopg; the classes of them and of those in lists; and the places
of values that have no type of their own, that of an empty list as ``~place``."""


def sendable(values: Sequence[Any]) -> Sendable:
    """Return the values with each int as a bigint.

    :raises NoBigint: for an integer that does not fit.
    """
    kinds = tuple(map(type, values))
    find = _places if len(kinds) <= _MOST_VALUES else _places.__wrapped__
    found, missing, integers, lists = find(kinds)
    if not integers and not lists:
        return values, found, missing
    sent = list(values)
    for place in integers:
        value = sent[place]
        if -BEYOND_BIGINT <= value < BEYOND_BIGINT:  # most of them, without a call
            sent[place] = new_bigint(Int8, value)
        else:
            sent[place] = stable(value)
    if lists:
        items: Kinds = _kinds_in([sent[place] for place in lists])
        if not UNSTABLE.isdisjoint(items):
            for place in lists:
                sent[place] = stable(sent[place])
            items = _as_sent(items)
        if not items <= found:
            found |= items
        empty = [~place for place in lists if not sent[place]]
        if empty:
            missing = tuple(sorted([*missing, *empty], key=lambda place: max(place, ~place)))
    return sent, found, missing


@lru_cache(maxsize=1024)
def _places(
    kinds: tuple[type[object], ...],
) -> tuple[Kinds, tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return the classes as they are sent, and the places of NULLs, integers and lists."""
    found = set(kinds)
    nulls, integers, lists = [
        tuple([place for place, each in enumerate(kinds) if each is kind]) if kind in found else ()
        for kind in (NoneType, int, list)
    ]
    return frozenset(_as_sent(found)), nulls, integers, lists


def _kinds_in(lists: Sequence[list[Any]]) -> set[type[object]]:
    """Return the classes of the values in lists, and in the lists in them."""
    kinds = set(map(type, chain.from_iterable(lists)))
    if list in kinds:
        inner: list[list[Any]] = [item for own in lists for item in own if type(item) is list]
        kinds |= _kinds_in(inner)
    return kinds


def _as_sent(kinds: Kinds) -> Kinds:
    return (kinds - {int}) | {Int8} if int in kinds else kinds
