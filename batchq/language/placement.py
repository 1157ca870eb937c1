# SPDX-License-Identifier: MIT
"""Schedule statements of a batch to run only once, or after all others."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from batchq.language.batch import Batch, Composite
from batchq.language.statement import Statement
from batchq.language.type_variables import T_co
from batchq.language.value import value

if TYPE_CHECKING:
    from batchq.language.outputs import Output

M = TypeVar("M")


@value
class Scheduled(Batch[T_co]):
    """A statement that runs once for a whole batch, or after all other statements."""

    statement: Statement[T_co]
    dedupe_key: Hashable = None
    """Of several statements with the same key, only the first runs. Such a statement has no
    result."""
    resets: Hashable = None
    """After this statement, ``dedupe_key`` may run again."""
    run_last: tuple[str, ...] | None = None
    """If set, it runs after all statements without it; these run in the order of this key."""

    @property
    def _required_outputs(self) -> tuple[Output, ...]:
        """Return what the statement requires."""
        return self.statement._required_outputs


@value
class Last(Composite[M]):
    """Runs all parts and returns the result of the last."""

    parts: tuple[Batch[Any], ...]
    unmet_outputs: tuple[Output, ...]

    def combine(self, results: Sequence[Any]) -> M:
        """Return the last result."""
        result: M = results[-1]
        return result
