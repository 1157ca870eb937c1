# SPDX-License-Identifier: MIT
"""Guards: conditions that the server checks before COMMIT, and that abort the transaction.

COMMIT is already on its way when a statement matches no row, or the wrong one, so the client cannot
decide: the server has to. This file says *what* is guarded; the engine owns the SQL that does it,
because most natural spellings of it silently never fire.
"""

from __future__ import annotations

from enum import Enum

from attrs import frozen

from batchq.language.spelling import spelled
from batchq.language.syntax import Conditions, RawSql, columns_in


class Bound(Enum):
    """How the number of rows is compared with the guard's. The value is the SQL operator."""

    EXACTLY = "="
    AT_LEAST = ">="
    AT_MOST = "<="


_WORDS = {Bound.EXACTLY: "exactly", Bound.AT_LEAST: "at least", Bound.AT_MOST: "at most"}


@frozen
class Guard:
    """A condition on the number of rows that a statement affects or returns."""

    bound: Bound
    rows: int

    def __str__(self) -> str:
        """Say it in words: ``exactly 1 row``."""
        return f"{_WORDS[self.bound]} {self.rows} {'row' if self.rows == 1 else 'rows'}"


EXACTLY_ONE = Guard(Bound.EXACTLY, 1)
AT_MOST_ONE = Guard(Bound.AT_MOST, 1)


class When(Enum):
    """When a row is checked."""

    BEFORE = "before"
    """Rows found by ``where``, before the statement changes them."""
    CONFLICT = "conflict"
    """The existing row that an insert conflicts with, which then does nothing; never a new row."""
    AFTER = "after"
    """Rows that the statement returns, as they are afterwards."""
    NEVER = "never"
    """Every row: there must be none."""


INSIDE = frozenset({When.BEFORE, When.CONFLICT})
"""What the statement itself checks. The others are checked around it, once it has run."""


@frozen
class Requirement:
    """A condition that each row must meet. The error carries the first row that does not."""

    when: When
    test: Conditions
    """The condition; empty if there must be no row at all."""
    columns: tuple[str, ...]
    """The columns whose values the error carries."""
    refuses: bool = False
    """Whether a row for which the condition holds is the one that fails."""

    def __str__(self) -> str:
        """Show the call, with columns and no values: ``require("generation")``."""
        if self.when is When.NEVER:
            return "expect(0)"
        call = "refuse" if self.refuses else _CALLS[self.when]
        if isinstance(self.test, RawSql):
            return f"{call}(sql)"
        return f"{call}({', '.join(map(spelled, columns_in(self.test))) or '...'})"


_CALLS = {When.BEFORE: "require", When.CONFLICT: "same", When.AFTER: "ensure"}
