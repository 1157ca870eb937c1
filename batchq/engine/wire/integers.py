# SPDX-License-Identifier: MIT
"""Send each int as a bigint, whatever its size.

psycopg picks the smallest type that holds the value. The type is part of a statement's identity, so
values of different sizes would make different statements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg.types.numeric import Int8

UNSTABLE = frozenset({int, list})


def stable_all(values: Sequence[object], kinds: set[type[object]]) -> Sequence[object]:
    """Return the values with each int as a bigint.

    :param kinds: the classes of the values, and of those in lists; brought up to date.
    """
    if int not in kinds:
        return values
    kinds.discard(int)
    kinds.add(Int8)
    return [
        Int8(value)  # most of them, without a call
        if type(value) is int and -_BEYOND_BIGINT <= value < _BEYOND_BIGINT
        else (stable(value) if type(value) in UNSTABLE else value)
        for value in values
    ]


def stable(value: Any) -> object:
    """Return an int as a bigint, or a list with each int in it as one.

    :raises NoBigint: for an integer that does not fit.
    """
    if type(value) is int:
        if not -_BEYOND_BIGINT <= value < _BEYOND_BIGINT:
            message = "the integer does not fit bigint; pass a Decimal"
            raise NoBigint(message)
        return Int8(value)
    return [stable(item) if type(item) in UNSTABLE else item for item in value]


_BEYOND_BIGINT = 1 << 63


class NoBigint(Exception):
    """An integer does not fit bigint, the type of all integers sent."""
