# SPDX-License-Identifier: MIT
"""Find the version that added a value: a variant of an enum, or a version of a document."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from enum import Enum, Flag
from functools import lru_cache
from itertools import chain
from typing import Any, cast

from attrs import field, frozen
from psycopg.types.json import Json, Jsonb

from batchq.language.results import model_fields

_TEXTS = (str, bytes, bytearray, memoryview, Enum)
"""Collections that are one value each. A flag is a collection too."""

_SCALARS = frozenset({str, int, float, bool, type(None)})


@frozen(eq=False)
class Since:
    """The versions that have added variants."""

    variants: Mapping[Enum, int]
    # A member of a StrEnum equals a plain text, which needs no version, so members are not looked
    # up by equality.
    _of_kind: Mapping[type[object], tuple[tuple[Enum, int], ...]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        of_kind: dict[type[object], tuple[tuple[Enum, int], ...]] = {}
        for variant, version in self.variants.items():
            of_kind[type(variant)] = (*of_kind.get(type(variant), ()), (variant, version))
        object.__setattr__(self, "_of_kind", of_kind)

    def may_hold(self, kinds: Iterable[type[object]]) -> bool:
        """Return whether a value of one of these types may need a version."""
        return any(kind in self._of_kind or _has_parts(kind) for kind in kinds)

    def needs_of(self, value: object) -> int:
        """Return the version that the oldest running one has to be, to know this value."""
        if not _has_parts(type(value)):
            return self._needs_of_one(value)
        needs = 0
        todo = [value]
        seen: set[int] = set()
        while todo:
            each = todo.pop()
            if type(each) in _SCALARS or id(each) in seen:
                continue
            seen.add(id(each))
            needs = max(needs, self._needs_of_one(each))
            if isinstance(each, Json | Jsonb):
                needs = max(needs, getattr(each, "needs", 0))
            todo += _parts(each)
        return needs

    def _needs_of_one(self, value: object) -> int:
        added = self._of_kind.get(type(value), ())
        return max((version for variant, version in added if _holds(value, variant)), default=0)


def _has_parts(kind: type[object]) -> bool:
    return _has_parts_cached(cast("Hashable", kind))


@lru_cache(maxsize=1024)
def _has_parts_cached(kind: Any) -> bool:
    """Return whether values of a type may have variants in them: collections, models, and JSON."""
    if issubclass(kind, _TEXTS):
        return False
    return issubclass(kind, Collection | Json | Jsonb) or model_fields(kind) is not None


def _parts(value: Any) -> Iterable[Any]:
    kind = cast("Any", type(value))
    if not _has_parts(kind):
        return ()
    if isinstance(value, Json | Jsonb):
        return (value.obj,)
    if issubclass(kind, Mapping):
        return chain(value, value.values())
    if issubclass(kind, Collection):
        return cast("Iterable[Any]", value)
    return [getattr(value, each.column, None) for each in model_fields(kind) or ()]


def _holds(value: object, variant: Enum) -> bool:
    """Return whether a member is the variant, or a combination of flags has it."""
    if not (isinstance(value, Flag) and isinstance(variant, Flag) and variant.value):
        return value is variant
    return variant in value
