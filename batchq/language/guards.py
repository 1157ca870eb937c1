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
from batchq.language.syntax import Conditions, Text, compared


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


class Judged(Enum):
    """Which rows a requirement is about. The value is the call that makes such a requirement."""

    FOUND = "require"
    """The rows that ``where`` finds, as they are before the statement changes them."""
    THERE = "same"
    """The row that is in the way of an insert and lets it pass over: never one that it inserts."""
    RETURNED = "check"
    """The rows that the statement returns, as they are afterwards."""
    ANY = "forbid"
    """Every row: there may be none."""


INSIDE = frozenset({Judged.FOUND, Judged.THERE})
"""What the statement itself judges; the others are judged around it, when it has run."""


@frozen
class Requirement:
    """A condition that each row has to meet; one that does not is named in the error."""

    judged: Judged
    test: Conditions
    """What has to hold; empty for a row that may not be there at all."""
    found: tuple[str, ...]
    """The columns whose values the error carries."""

    def __str__(self) -> str:
        """Show the call, with columns and no values: ``require("rcgen")``."""
        if isinstance(self.test, Text):
            return f"{self.judged.value}(sql)"
        names = ", ".join(map(spelled, compared(self.test)))
        return f"{self.judged.value}({names or '...'})"
