# SPDX-License-Identifier: MIT
"""Find the version that added a value: a variant of an enum, or a version of a document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum, Flag

from attrs import field, frozen
from psycopg.types.json import Jsonb

from batchq.engine.inner_values import inner_values, reader_of


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
        return any(kind in self._of_kind or reader_of(kind) is not None for kind in kinds)

    def needs_of(self, value: object) -> int:
        """Return the version that the oldest running one has to be, to know this value."""
        needs = 0
        for each in inner_values(value):
            needs = max(needs, self._needs_of_one(each))
            if isinstance(each, Jsonb):  # a written document is one
                needs = max(needs, getattr(each, "needs", 0))
        return needs

    def _needs_of_one(self, value: object) -> int:
        added = self._of_kind.get(type(value), ())
        return max((version for variant, version in added if _holds(value, variant)), default=0)


def _holds(value: object, variant: Enum) -> bool:
    """Return whether a member is the variant, or a combination of flags has it."""
    if not (isinstance(value, Flag) and isinstance(variant, Flag) and variant.value):
        return value is variant
    return variant in value
