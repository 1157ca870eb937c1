# SPDX-License-Identifier: MIT
"""Keep the encoded constants of a declaration, and what the values given to it have in common.

A service binds a declaration to values of the same types again and again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchq.engine.filling import Filling
    from batchq.engine.wire.dump import Dumped
    from batchq.engine.wire.statement_cache import ValueChecks

_MOST_KINDS = 64
"""The number of combinations of types that are kept for a declaration."""

Common = tuple["tuple[int, ...]", "Sequence[int]", "tuple[int, ...]"]
"""The types of all parameters, their formats, and the places of those without a type."""


class Constants:
    """The constants of a declaration, encoded on one connection."""

    __slots__ = (
        *("kinds", "left", "_params", "_types", "_formats", "_missing", "_size"),
        *("_around", "_places"),
    )

    # Without a reference to the filling: it is kept as long as that.
    def __init__(self, filling: Filling, dumped: Dumped) -> None:
        self._places = filling.places_of_constants
        self._params, self._types, self._formats, self._missing, self.kinds, self._size = dumped
        self._around: dict[object, Common] = {}
        self.left: dict[object, ValueChecks] = {}
        """The checks of a flight that are left for the given values, if they were looked for."""

    def around(self, given: Dumped, filling: Filling) -> Dumped:
        """Return the values of all parameters: the constants around those that are given.

        Their classes are those of the given values, and ``kinds``.
        """
        params, types, formats, missing, kinds, size = given
        key = types, tuple(formats), missing
        common = self._around.get(key)
        if common is None:
            common = self._common(filling, *key)
            if len(self._around) >= _MOST_KINDS:
                self._around.clear()
            self._around[key] = common
        types, formats, missing = common
        return (
            filling.pick([*params, *self._params]),
            types,
            formats,
            missing,
            kinds | self.kinds if self.kinds else kinds,
            size * filling.most + self._size,
        )

    def _common(
        self,
        filling: Filling,
        types: tuple[int, ...],
        formats: tuple[int, ...],
        missing: tuple[int, ...],
    ) -> Common:
        """Return what is the same whenever values of these types are given."""
        return (
            tuple(filling.pick(types + self._types)),
            filling.pick([*formats, *self._formats]),
            filling.spread(missing, self._missing),
        )

    def find_left(self, flight: object, checks: ValueChecks) -> ValueChecks:
        """Find the checks of a flight that are left, if all of the constants pass."""
        sent = dict(zip(self._places, self._params, strict=True))
        own = [check for check in checks if check[0] in sent]
        is_well = all(sent[place] is None or is_exact(sent[place]) for place, is_exact in own)
        left = tuple([each for each in checks if each[0] not in sent]) if is_well else checks
        if len(self.left) >= _MOST_KINDS:
            self.left.clear()
        self.left[flight] = left
        return left
