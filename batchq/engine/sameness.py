# SPDX-License-Identifier: MIT
"""Decide whether two statements are sent as the same, so that one of them may stand for both.

Equality in Python is wider than that: ``1 == True``, ``0.0 == -0.0``, and ``Decimal("1.0")`` equals
``Decimal("1.00")``, but the server is sent other bytes, or another type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from psycopg.types.json import Json, Jsonb

if TYPE_CHECKING:
    from batchq.language.statement_base import StatementBase

_DECIDING = ("source", "result", "expected", "returned", "carried", "conditions", "fresh")
"""The parts of a shape that decide the SQL and the result. Mappings do not belong to either."""


def are_same(one: StatementBase[Any, Any], other: StatementBase[Any, Any]) -> bool:
    """Return whether two statements are the same SQL with the same result and values."""
    mine, others = one._shape, other._shape
    is_same_sql = mine is others or all(
        getattr(mine, part) == getattr(others, part) for part in _DECIDING
    )
    return is_same_sql and all(map(_are_same_values, one._values, other._values))


def _are_same_values(mine: object, others: object) -> bool:
    """Return whether two values are certainly sent as the same bytes of the same type."""
    if mine is others:
        return True
    if type(mine) is not type(others):
        return False
    if isinstance(mine, list | tuple):
        items, other_items = cast("list[object]", mine), cast("list[object]", others)
        return len(items) == len(other_items) and all(map(_are_same_values, items, other_items))
    if isinstance(mine, Json | Jsonb):
        json = cast("Json", others)
        return mine.dumps is json.dumps and repr(mine.obj) == repr(json.obj)
    try:
        is_equal = bool(mine == others) or (mine != mine and others != others)  # noqa: PLR0124  NaN
    except Exception:  # noqa: BLE001  the comparison is the user's own
        return False
    return is_equal and repr(mine) == repr(others)
