# SPDX-License-Identifier: MIT
"""Schedule statements of a batch to run only once, or after all others."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, cast

from batchq.language.batch import Batch
from batchq.language.parameters import Parameter
from batchq.language.statement import Statement
from batchq.language.type_variables import R_contra, T_co
from batchq.language.value import value

if TYPE_CHECKING:
    from batchq.language.outputs import Output
    from batchq.language.partial import Replacements

Key = tuple[Hashable, ...]
"""A key of a scheduled statement. A parameter in it stands for its value."""


@value
class Scheduled(Batch[T_co, R_contra]):
    """A statement that runs once for a whole batch, or after all other statements."""

    statement: Statement[T_co, R_contra]
    dedupe_key: Key | None = None
    """Of several statements with the same key, only the first runs. Such a statement has no
    result."""
    resets: Key | None = None
    """After this statement, ``dedupe_key`` may run again."""
    run_last: Key | None = None
    """If set, it runs after all statements without it; these run in the order of this key."""

    @property
    def _required_outputs(self) -> tuple[Output, ...]:
        """Return what the statement requires."""
        return self.statement._required_outputs

    @property
    def _statements(self) -> Sequence[Statement[T_co, R_contra]]:
        return (self.statement,)

    def _replaced(self, replace: Replacements, /) -> Scheduled[T_co]:
        return Scheduled(
            cast("Statement[T_co]", self.statement._replaced(replace)),
            _replaced(self.dedupe_key, replace),
            _replaced(self.resets, replace),
            _replaced(self.run_last, replace),
        )


def _replaced(key: Key | None, replace: Replacements) -> Key | None:
    if key is None:
        return None
    return tuple([replace.get(v, v) if isinstance(v, Parameter) else v for v in key])
