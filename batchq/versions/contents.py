# SPDX-License-Identifier: MIT
"""Find the version that added a value: a variant of an enum, or a version of a document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

from attrs import field, frozen
from psycopg.types.json import Json, Jsonb

_HOLDERS = (list, tuple, Json, Jsonb)
"""What may have variants in it. A written document is a Jsonb."""


@frozen(eq=False)
class Since:
    """The versions that have added variants."""

    variants: Mapping[Enum, int]
    # A member of a StrEnum equals a plain text, which needs no version. So they are looked up by
    # identity.
    _by_id: Mapping[int, int] = field(init=False)
    _kinds: frozenset[type] = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_by_id", {id(each): n for each, n in self.variants.items()})
        object.__setattr__(self, "_kinds", frozenset(map(type, self.variants)))

    def may_hold(self, kinds: Iterable[type[object]]) -> bool:
        """Return whether a value of one of these types may need a version."""
        return any(kind in self._kinds or issubclass(kind, _HOLDERS) for kind in kinds)

    def needs_of(self, value: object) -> int:
        """Return the version that the oldest running one has to be, to know this value."""
        needs = self._by_id.get(id(value), 0)
        if not isinstance(value, _HOLDERS):
            return needs
        todo: list[Any] = [value]
        seen: set[int] = set()
        while todo:
            each = todo.pop()
            if id(each) in seen:
                continue
            seen.add(id(each))
            needs = max(needs, self._by_id.get(id(each), 0))
            if isinstance(each, Json | Jsonb):
                needs = max(needs, getattr(each, "needs", 0))
                todo.append(each.obj)
            elif isinstance(each, list | tuple):
                todo += each
            elif isinstance(each, dict):
                todo += [*each, *each.values()]
        return needs
