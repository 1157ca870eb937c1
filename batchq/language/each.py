# SPDX-License-Identifier: MIT
"""Define the batch that runs one declared statement for each of many rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from batchq.language.batch import Batch
from batchq.language.results import NO_RESULT
from batchq.language.value import value

if TYPE_CHECKING:
    from batchq.language.binding import Values
    from batchq.language.outputs import Output
    from batchq.language.partial import Replacements
    from batchq.language.statement_base import StatementBase

R = TypeVar("R")


@value
class Each(Batch[R]):
    """The batch that :meth:`Statement.each` returns."""

    statement: StatementBase[Any, Any]
    """The declared statement."""
    rows: tuple[object, ...]
    """The rows, as they were passed."""
    values: tuple[Values, ...]
    """The values for each row."""

    @property
    def _required_outputs(self) -> tuple[Output, ...]:
        """Return what the statement requires."""
        return self.statement._required_outputs if self.values else ()

    @property
    def _statements(self) -> Sequence[StatementBase[Any, Any]]:
        return [self.statement._filled(values) for values in self.values]

    def _replaced(self, _: Replacements, /) -> Each[R]:
        """Return itself: it has no parameters."""
        return self

    def combine(self, results: Sequence[Any]) -> Any:
        """Return the results in a list, if there are any."""
        return None if self.statement._shape.result is NO_RESULT else list(results)
