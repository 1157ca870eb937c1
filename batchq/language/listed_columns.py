# SPDX-License-Identifier: MIT
"""Find the columns that a statement compares with a list."""

from __future__ import annotations

from batchq.language.syntax import (
    EQUALS_ANY,
    EQUALS_ANY_OR_NULL,
    NOT_ANY,
    NOT_ANY_NOR_NULL,
    Compared,
    Conditions,
    Insert,
    RawSql,
    Source,
    column_tests,
)


def chosen(source: Source) -> tuple[str, ...]:
    """Return the columns that the source compares with a list."""
    if isinstance(source, Insert):
        return () if source.conflict is None else chosen_by(source.conflict.where)
    return () if isinstance(source, RawSql) else chosen_by(source.where)


def chosen_by(where: Conditions) -> tuple[str, ...]:
    """Return the columns that conditions compare with a list."""
    if isinstance(where, RawSql):
        return ()
    lists = (EQUALS_ANY, EQUALS_ANY_OR_NULL, NOT_ANY, NOT_ANY_NOR_NULL)
    return tuple(
        name
        for name, test in column_tests(where)
        if (test.operator if isinstance(test, Compared) else test) in lists
    )
