# SPDX-License-Identifier: MIT
"""Increment the generation of a parent, the statement that every added child begins with.

Its shape depends on the parent alone, so it is built once for each parent.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from batchq.language.builders import raw_sql
from batchq.language.changes import update
from batchq.language.comparisons import Reading, reading_of
from batchq.language.errors import InvalidBatch
from batchq.language.mapping import Raises
from batchq.language.parameters import Parameter
from batchq.language.placement import Key
from batchq.language.quoted_names import quoted_name
from batchq.language.shape import Shape
from batchq.language.spelling import with_article
from batchq.language.statement import Statement

T = TypeVar("T")

_NOT_KEYS = frozenset({Reading.NULL, Reading.CHOICE, Reading.REFUSED})


@lru_cache(maxsize=256)
def incremented(column: str) -> Statement[None]:
    """Return a fragment for the next generation."""
    return raw_sql(f"{quoted_name(column)} + 1")


def checked_parent(key: T) -> T:
    """Return the key of a parent.

    :raises InvalidBatch: if it is not the key of one row.
    """
    kind: type[object] = type(key)
    is_list = isinstance(key, Parameter) and key.takes_list
    if is_list or reading_of(kind) in _NOT_KEYS:  # type: ignore[arg-type, operator]  # is hashable
        raise InvalidBatch(f"the key of a parent must be one value, not {with_article(kind)}")
    return key


def touch_key(parent: Hashable, key: Any) -> Key:
    """Return the ``dedupe_key`` of a touch, see :class:`Scheduled`.

    :param key: that of one row, see :func:`checked_parent`.
    """
    return "touch", parent, key


@lru_cache(maxsize=256)
def touch_shape(table: str, generation: str, key: str, deleted_at: str | None) -> Shape:
    """Return the shape of a touch by one value, which is the key."""
    live = {key: 0} if deleted_at is None else {key: 0, deleted_at: None}
    return built_touch(table, generation, live, LookupError)._shape


def built_touch(
    table: str, generation: str, live: Mapping[str, object], missing: Raises
) -> Statement[None]:
    """Return the statement that increments the generation of a live parent.

    :param live: the conditions of a live parent.
    """
    touch = update(table, {generation: incremented(generation)}, live)
    return touch.expect(1, missing=missing).label(table)
