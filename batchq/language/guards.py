# SPDX-License-Identifier: MIT
"""Define guards: conditions that the server checks before COMMIT; if one fails, it aborts.

The client sends COMMIT before it has read a single result, so only the server can check. This
module defines what is checked. The engine generates the SQL, because most obvious ways to write
such a check silently never raise an error.
"""

from __future__ import annotations

from enum import Enum
from typing import cast

from attrs import frozen

from batchq.language.errors import InvalidBatch
from batchq.language.spelling import spelled
from batchq.language.syntax import (
    IS_NOT_NULL,
    NOT_ANY,
    NOT_ANY_NOR_NULL,
    ColumnTest,
    Compared,
    Conditions,
    RawSql,
    column_tests,
)


class Bound(Enum):
    """How the number of rows is compared with that of the guard. The value is the SQL operator."""

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
        """Return the guard in words: ``exactly 1 row``."""
        return f"{_WORDS[self.bound]} {self.rows} {'row' if self.rows == 1 else 'rows'}"


def bound_of(rows: int | None, at_least: int | None, at_most: int | None) -> tuple[Bound, int]:
    """Return the bound and the number for the arguments of :meth:`Statement.expect`.

    :raises InvalidBatch: unless exactly one argument is given.
    """
    if (rows is not None) + (at_least is not None) + (at_most is not None) != 1:
        raise InvalidBatch("expect(): pass exactly one of a number of rows, at_least= and at_most=")
    if rows is not None:
        return Bound.EXACTLY, rows
    if at_most is None:
        return Bound.AT_LEAST, cast("int", at_least)
    # At most none is none.
    is_none = at_most == 0 and type(at_most) is int
    return Bound.EXACTLY if is_none else Bound.AT_MOST, at_most


EXACTLY_ONE = Guard(Bound.EXACTLY, 1)
AT_MOST_ONE = Guard(Bound.AT_MOST, 1)


class When(Enum):
    """When a row is checked."""

    __hash__ = object.__hash__  # a member is one object; that of Enum is Python code

    ONCE = "once"
    """Rows found by ``where``, each of which at most one row of the other table may match."""
    BEFORE = "before"
    """Rows found by ``where``, before the statement changes them."""
    LEAVE = "leave"
    """Rows found by ``where`` that stay as they are if the condition holds; it never fails."""
    CONFLICT = "conflict"
    """The existing row that an insert conflicts with, which then does nothing; never a new row."""
    AFTER = "after"
    """Rows that the statement returns, as they are afterwards."""
    NEVER = "never"
    """No row is allowed, so each row fails."""


FOUND = frozenset({When.BEFORE, When.LEAVE})
"""Checked for each row that ``where`` selects, in the order of the calls."""
INSIDE = frozenset({When.ONCE, When.BEFORE, When.LEAVE, When.CONFLICT})
"""Checked in the statement itself. The others are checked by SQL around it, after it has run."""


@frozen
class Requirement:
    """A condition that each row must meet. The error carries the first row that does not."""

    when: When
    test: Conditions
    """The condition; empty if there must be no row at all."""
    columns: tuple[str, ...]
    """The columns whose values the error carries."""
    refuses: bool = False
    """True if a row fails when the condition holds, instead of when it does not."""

    @property
    def call(self) -> str:
        """The method that it was passed to."""
        return "refuse" if self.refuses else _CALLS[self.when]

    def __str__(self) -> str:
        """Return the call, without values: ``require("generation", "attempts" < …)``."""
        if self.when is When.NEVER:
            return "expect(0)"
        if self.when is When.ONCE:
            return "at most 1 match"
        if isinstance(self.test, RawSql) and self.when is When.CONFLICT:
            call = "not stale" if self.refuses else self.call
            return f"{call}({', '.join(map(spelled, self.columns))})"
        if isinstance(self.test, RawSql):
            return f"{self.call}(sql)"
        return f"{self.call}({', '.join(map(_in_words, column_tests(self.test))) or '...'})"


def _in_words(condition: ColumnTest) -> str:
    """Return the column and, unless the value is equal or one of a list, how it is compared."""
    column, test = spelled(condition[0]), condition[1]
    if test == IS_NOT_NULL:
        return f"{column} {IS_NOT_NULL}"
    if not isinstance(test, Compared):
        return column
    return f"{column} {NOT_ANY if test.operator == NOT_ANY_NOR_NULL else test.operator} …"


_CALLS = {
    When.BEFORE: "require",
    When.LEAVE: "unless",
    When.CONFLICT: "same",
    When.AFTER: "ensure",
}
