# SPDX-License-Identifier: MIT
"""Keep the encoded constants of a declaration, and what the values given to it have in common.

A service binds a declaration to values of the same types again and again.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchq.engine.filling import Filling
    from batchq.engine.wire.statement_cache import ValueChecks

_MOST_KINDS = 64
"""The number of combinations of types that are kept for a declaration."""

Common = tuple["tuple[int, ...]", "Sequence[int]", "tuple[int, ...]"]
"""The types of all parameters, their formats, and the places of those without a type."""


class Dumped(NamedTuple):
    """Values, encoded."""

    params: Sequence[Any]
    types: tuple[int, ...]
    formats: Sequence[int]
    missing: tuple[int, ...]
    """The places of values that have no type of their own; that of an empty list as ``~place``."""
    kinds: AbstractSet[type[object]]
    """The classes of the values, and of those in lists."""
    size: int
    """Their length in bytes."""


class Constants:
    """The constants of a declaration, encoded on one connection."""

    __slots__ = (
        *("params", "types", "formats", "missing", "kinds", "size"),
        *("left", "_around", "_places"),
    )

    # Without a reference to the filling: it is kept as long as that.
    def __init__(self, filling: Filling, dumped: Dumped) -> None:
        self._places = filling.places_of_constants
        self.params, self.types, self.formats, self.missing, self.kinds, self.size = dumped
        self._around: dict[object, Common] = {}
        self.left: dict[object, ValueChecks] = {}
        """The checks of a flight that are left for the given values, if they were looked for."""

    def around(self, given: Dumped, filling: Filling) -> Common:
        """Return what the parameters have in common with those of values of the same types."""
        key = given.types, tuple(given.formats), given.missing
        found = self._around.get(key)
        if found is None:
            pick = filling.pick
            found = (
                tuple(pick(given.types + self.types)),
                pick([*given.formats, *self.formats]),
                filling.spread(given.missing, self.missing),
            )
            if len(self._around) >= _MOST_KINDS:
                self._around.clear()
            self._around[key] = found
        return found

    def find_left(self, flight: object, checks: ValueChecks) -> ValueChecks:
        """Find the checks of a flight that are left, if all of the constants pass."""
        sent = dict(zip(self._places, self.params, strict=True))
        own = [check for check in checks if check[0] in sent]
        is_well = all(sent[place] is None or is_exact(sent[place]) for place, is_exact in own)
        left = tuple([each for each in checks if each[0] not in sent]) if is_well else checks
        if len(self.left) >= _MOST_KINDS:
            self.left.clear()
        self.left[flight] = left
        return left
