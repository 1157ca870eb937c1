# SPDX-License-Identifier: MIT
"""Limit how deep fragments nest, because the code that reads and renders them is recursive.

Without a limit of its own, a fragment around too many others would be a bare ``RecursionError``,
and the number would depend on how deep the caller is in its own calls.
"""

from __future__ import annotations

from collections.abc import Sequence

from batchq.language.errors import InvalidBatch
from batchq.language.source_parts import cells_of, conditions_of, operands_of, selects_in
from batchq.language.syntax import RawSql, Source

DEEPEST = 100
"""Rendering takes three calls a level, of the thousand that Python allows by default."""


def checked_depth(nested: Sequence[Source]) -> int:
    """Return how many texts a text with these statements inside is deep; 1 for one without any.

    :raises InvalidBatch: if it is too deep.
    """
    depth = 1 + max(map(_depth_of, nested), default=0)
    if depth > DEEPEST:
        raise InvalidBatch(
            f"sql(): fragments nest more than {DEEPEST} deep; put those of a list side by side in "
            f"one text, each under a name of its own"
        )
    return depth


def _depth_of(source: Source) -> int:
    if isinstance(source, RawSql):
        return source.depth
    parts = *cells_of(source), *operands_of(conditions_of(source)), *selects_in(source)
    return max((_depth_of(part) for part in parts if isinstance(part, Source)), default=0)
