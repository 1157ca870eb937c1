# SPDX-License-Identifier: MIT
"""Guards: how many rows a statement has to affect, checked by the server before COMMIT.

COMMIT is already on its way when a statement matches no row, so the client cannot decide: the
server has to. This file says *what* is guarded; the engine owns the SQL that does it, because most
natural spellings of it silently never fire.
"""

from __future__ import annotations

from enum import Enum

from attrs import frozen


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
