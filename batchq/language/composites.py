# SPDX-License-Identifier: MIT
"""Define the batches that run several batches in order and combine their results."""

from __future__ import annotations

from typing import Any, TypeVar

from batchq.language.batch import Batch, Composite, Labelled
from batchq.language.type_variables import R_contra
from batchq.language.value import value

M = TypeVar("M")


@value
class Gathered(Composite[tuple[Any, ...]]):
    """The batch that :func:`gather` returns."""


@value
class Sequenced(Composite[list[Any]]):
    """The batch that :func:`sequence` returns."""


@value
class Into(Composite[M]):
    """The batch that :func:`into` returns; the named parts are the last ones."""

    names: tuple[str, ...]

    @property
    def labelled(self) -> tuple[Batch[Any, Any], ...]:
        """The parts, each with its name as its label."""
        dropped = len(self.parts) - len(self.names)
        return (*self.parts[:dropped], *map(Labelled, self.parts[dropped:], self.names))


@value
class Last(Composite[M, R_contra]):
    """Runs all parts and returns the result of the last."""
