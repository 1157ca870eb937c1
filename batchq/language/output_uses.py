# SPDX-License-Identifier: MIT
"""Find out whether a source uses an output of another statement."""

from __future__ import annotations

from collections.abc import Iterable

from batchq.language.syntax import (
    EQUALS_OUTPUT,
    OUTPUT,
    Compared,
    Conditions,
    Conflict,
    Delete,
    Expr,
    Insert,
    Join,
    RawSql,
    Select,
    Source,
    Update,
)


def takes_outputs(source: Source) -> bool:
    """Return True if the source uses an output of another statement."""
    match source:
        case RawSql():
            return any(source.casts) or any(map(takes_outputs, source.nested))
        case Insert():
            on = source.conflict or Conflict((), None)
            uses = _use_outputs((*source.cells, *on.cells)) or tests_outputs(on.where)
            return uses or (source.query is not None and takes_outputs(source.query))
        case Update():
            uses = _use_outputs(source.cells) or tests_outputs(source.where)
            return uses or _joins_outputs(source.join)
        case Delete():
            return tests_outputs(source.where) or _joins_outputs(source.join)
        case Select():
            cells = (*(source.columns or ()), *(key.column for key in source.order))
            return _use_outputs(cells) or tests_outputs(source.where)


def _joins_outputs(join: Join | None) -> bool:
    return join is not None and not isinstance(join.table, str) and takes_outputs(join.table)


def tests_outputs(where: Conditions) -> bool:
    """Return True if conditions compare with an output of another statement."""
    if isinstance(where, RawSql):
        return takes_outputs(where)
    tests = [test if isinstance(test, RawSql) else test[1] for test in where]
    operands = [test.operand if isinstance(test, Compared) else test for test in tests]
    return EQUALS_OUTPUT in operands or _use_outputs(operands)


def _use_outputs(cells: Iterable[Expr | str]) -> bool:
    return any(
        cell is OUTPUT or (isinstance(cell, RawSql) and takes_outputs(cell)) for cell in cells
    )
