# SPDX-License-Identifier: MIT
"""Find out whether a source uses an output of another statement."""

from __future__ import annotations

from collections.abc import Iterable

from batchq.language.source_parts import cells_of, conditions_of, operands_of, selects_in
from batchq.language.syntax import EQUALS_OUTPUT, OUTPUT, Conditions, Expr, RawSql, Source


def takes_outputs(source: Source) -> bool:
    """Return True if the source uses an output of another statement."""
    if isinstance(source, RawSql):
        return any(source.casts) or any(map(takes_outputs, source.nested))
    return (
        _use_outputs(cells_of(source))
        or tests_outputs(conditions_of(source))
        or any(map(takes_outputs, selects_in(source)))
    )


def tests_outputs(where: Conditions) -> bool:
    """Return True if conditions compare with an output of another statement."""
    operands = list(operands_of(where))
    return EQUALS_OUTPUT in operands or _use_outputs(operands)


def _use_outputs(cells: Iterable[Expr | str]) -> bool:
    return any(
        cell is OUTPUT or (isinstance(cell, RawSql) and takes_outputs(cell)) for cell in cells
    )
