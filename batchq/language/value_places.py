# SPDX-License-Identifier: MIT
"""Know where each value of a statement stands, by its shape."""

from __future__ import annotations

from itertools import chain

from batchq.language.shape import Shape
from batchq.language.syntax import (
    WITHOUT_VALUE,
    Conditions,
    Insert,
    RawSql,
    Select,
    Source,
    Update,
)

FRAGMENT = "fragment"
"""In the place of a test: the value of a placeholder in a fragment."""


def tests_of(shape: Shape) -> list[str | None]:
    """Return the test that each value stands in; None for a value outside the conditions.

    Values of placeholders in fragments have :data:`FRAGMENT`.
    """
    source = shape.source
    where = () if isinstance(source, RawSql | Insert) else source.where
    conditions = (where, *(requirement.test for requirement in shape.requirements))
    return [*_cells(source), *chain.from_iterable(map(_tests_in, conditions))]


def placeholders_of(shape: Shape) -> list[bool]:
    """Return whether each value is that of a placeholder in a fragment."""
    return [test == FRAGMENT for test in tests_of(shape)]


def _cells(source: Source) -> list[str | None]:
    """Return the same for the values before the conditions."""
    if isinstance(source, RawSql):
        return [None] * len(source.names)
    cells: list[str | None] = []
    if isinstance(source, Insert | Update):
        for cell in source.cells:
            cells += [FRAGMENT] * len(cell.names) if isinstance(cell, RawSql) else [None]
    elif isinstance(source, Select):
        for column in source.columns or ():
            cells += [FRAGMENT] * len(column.names) if isinstance(column, RawSql) else []
    return cells


def _tests_in(where: Conditions) -> list[str | None]:
    if isinstance(where, RawSql):
        return [FRAGMENT] * len(where.names)
    tests: list[str | None] = []
    for condition in where:
        test = condition if isinstance(condition, RawSql) else condition[1]
        if isinstance(test, RawSql):
            tests += [FRAGMENT] * len(test.names)
        elif test not in WITHOUT_VALUE:
            tests.append(test)
    return tests
