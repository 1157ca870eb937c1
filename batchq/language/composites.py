# SPDX-License-Identifier: MIT
"""Define the batches that run several batches in order and combine their results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from batchq.language.batch import Batch, Composite, Labelled
from batchq.language.combining import Combining
from batchq.language.signatures import takes_in_order
from batchq.language.type_variables import R_contra
from batchq.language.value import value

M = TypeVar("M")


@value
class Gathered(Composite[tuple[Any, ...]]):
    """The batch that :func:`gather` returns."""

    @property
    def combining(self) -> Combining:
        """How its result is made: the results in order."""
        return tuple, False, 0


@value
class Sequenced(Composite[list[Any]]):
    """The batch that :func:`sequence` returns."""

    @property
    def combining(self) -> Combining:
        """How its result is made: the results in order."""
        return list, False, 0


@value
class Into(Composite[M]):
    """The batch that :func:`into` returns; the named parts are the last ones."""

    model: Callable[..., M]
    names: tuple[str, ...]

    @property
    def combining(self) -> Combining:
        """How its result is made: the model of the named results."""
        is_in_order = takes_in_order(self.model, self.names)
        function = self.model if is_in_order else self._by_name
        return function, True, len(self.parts) - len(self.names)

    @property
    def labelled(self) -> tuple[Batch[Any, Any], ...]:
        """The parts, each with its name as its label."""
        dropped = len(self.parts) - len(self.names)
        return (*self.parts[:dropped], *map(Labelled, self.parts[dropped:], self.names))

    def _by_name(self, *results: Any) -> M:
        return self.model(**dict(zip(self.names, results, strict=True)))


@value
class Last(Composite[M, R_contra]):
    """Runs all parts and returns the result of the last."""

    @property
    def combining(self) -> Combining:
        """How its result is made: it is the last result."""
        return None, False, len(self.parts) - 1
