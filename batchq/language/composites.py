# SPDX-License-Identifier: MIT
"""Define the batches that run several batches in order and combine their results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from batchq.language.batch import Batch, Composite, Labelled
from batchq.language.type_variables import R_contra
from batchq.language.value import value

if TYPE_CHECKING:
    from batchq.language.outputs import Output
    from batchq.language.tree import Combining

M = TypeVar("M")


@value
class Gathered(Composite[tuple[Any, ...]]):
    """The batch that :func:`gather` returns."""

    parts: tuple[Batch[Any, Any], ...]
    unmet_outputs: tuple[Output, ...]

    @property
    def combining(self) -> Combining:
        """How its result is made: the results in order."""
        return len(self.parts), tuple


@value
class Sequenced(Composite[list[Any]]):
    """The batch that :func:`sequence` returns."""

    parts: tuple[Batch[Any, Any], ...]
    unmet_outputs: tuple[Output, ...]

    @property
    def combining(self) -> Combining:
        """How its result is made: the results in order."""
        return len(self.parts), list


@value
class Into(Composite[M]):
    """The batch that :func:`into` returns; the named parts are the last ones."""

    parts: tuple[Batch[Any, Any], ...]
    model: Callable[..., M]
    names: tuple[str, ...]
    unmet_outputs: tuple[Output, ...]

    @property
    def combining(self) -> Combining:
        """How its result is made: the model of the named results."""
        return len(self.parts), self._made

    @property
    def labelled(self) -> tuple[Batch[Any, Any], ...]:
        """The parts, each with its name as its label."""
        dropped = len(self.parts) - len(self.names)
        return (*self.parts[:dropped], *map(Labelled, self.parts[dropped:], self.names))

    def _made(self, results: Sequence[Any]) -> M:
        named = results[len(results) - len(self.names) :]
        return self.model(**dict(zip(self.names, named, strict=True)))


@value
class Last(Composite[M, R_contra]):
    """Runs all parts and returns the result of the last."""

    parts: tuple[Batch[Any, Any], ...]
    unmet_outputs: tuple[Output, ...]

    @property
    def combining(self) -> Combining:
        """How its result is made: the last result."""
        return len(self.parts), itemgetter(-1)
