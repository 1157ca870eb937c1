# SPDX-License-Identifier: MIT
"""Send each int as a bigint, whatever its size.

psycopg picks the smallest type that holds the value. The type is part of a statement's identity, so
values of different sizes would make different statements.
"""

from __future__ import annotations

from typing import Any

from psycopg.types.numeric import Int8

UNSTABLE = frozenset({int, list})
new_bigint = int.__new__
"""Makes an Int8 of its class and an int: what psycopg's own Python code does, without a call of it.
"""
BEYOND_BIGINT = 1 << 63


def stable(value: Any) -> object:
    """Return an int as a bigint, or a list with each int in it as one.

    :raises NoBigint: for an integer that does not fit.
    """
    if type(value) is int:
        if not -BEYOND_BIGINT <= value < BEYOND_BIGINT:
            message = "the integer does not fit bigint; pass a Decimal"
            raise NoBigint(message)
        return new_bigint(Int8, value)
    return [stable(item) if type(item) in UNSTABLE else item for item in value]


class NoBigint(Exception):
    """An integer does not fit bigint, the type of all integers sent."""
