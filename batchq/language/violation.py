# SPDX-License-Identifier: MIT
"""What the server said when it refused a statement: only what was observed, never guessed."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from attrs import field, frozen

from batchq.language.spelling import spelled


class ViolationKind(Enum):
    """What kind of rule was broken, read off the SQLSTATE and, for guards, off their sentinel.

    The value is the word that the matcher of that kind is called by.
    """

    UNIQUE = "unique"
    FOREIGN_KEY = "foreign_key"
    CHECK = "check"
    NOT_NULL = "not_null"
    EXCLUSION = "exclusion"
    GUARD = "guard"
    OTHER = "other"


KIND_BY_SQLSTATE = {
    "23505": ViolationKind.UNIQUE,
    "23503": ViolationKind.FOREIGN_KEY,
    # ON DELETE RESTRICT answers with its own code from PostgreSQL 18 on, and 23503 before.
    "23001": ViolationKind.FOREIGN_KEY,
    "23514": ViolationKind.CHECK,
    "23502": ViolationKind.NOT_NULL,
    "23P01": ViolationKind.EXCLUSION,
}
"""PostgreSQL documentation, appendix A, class 23."""


@frozen
class Violation:
    """One error of the server. A field that the server did not send is None.

    ``message``, ``detail``, ``hint`` and ``row`` may hold the caller's data, so they are
    attributes and never part of ``str()`` or ``repr()``.

    >>> Violation(kind=ViolationKind.UNIQUE, sqlstate="23505", constraint="name_key")
    Violation(unique "name_key", SQLSTATE 23505)
    """

    kind: ViolationKind
    sqlstate: str
    constraint: str | None = None
    schema: str | None = None
    table: str | None = None
    """The table *as the server named it*: for a foreign key always the child, also when the
    statement deleted from the parent. CockroachDB sends none."""
    column: str | None = None
    """Of a NOT NULL violation only."""
    message: str = ""
    detail: str | None = None
    hint: str | None = None
    severity: str = "ERROR"
    """ERROR, or FATAL or PANIC when the server ended the session as well. Never translated."""
    may_quote_values: bool = True
    """Whether the message may quote the caller's data; decided by the dialect, in doubt True."""
    position: int | None = None
    """Where in the statement's SQL the error lies: a character, counted from 1."""
    rows: int | None = None
    """Of a guard on the number of rows only: how many the guarded statement affected."""
    requirement: int | None = None
    """Of a guard on a row only: which of the statement's requirements it does not meet, from 0."""
    isolation: str | None = None
    """Of a guard on the transaction's isolation level only: the level that it refused."""
    part_of: tuple[str, ...] = ()
    """Of a constraint of a partition: the names of the constraints that it is a part of, the
    nearest first. Known where a mapping has named another constraint than the server did, since
    only then is the server asked; a mapping for one of these is a mapping for this one as well."""
    row: Mapping[str, Any] = field(factory=dict[str, Any], eq=False)
    """Of a guard on a row only: the values of that row, by column. Not all of its columns: those
    that the requirements name, and those that were asked for."""

    def __str__(self) -> str:
        """Say what was violated in words that are free of the caller's data."""
        if self.requirement is not None:
            return "guard refused a row"
        if self.isolation is not None:
            return f"guard refused the isolation level {self.isolation.upper()}"
        if self.kind is ViolationKind.GUARD:
            return f"guard saw {self.rows} {'row' if self.rows == 1 else 'rows'}"
        words = [self.kind.value if self.kind is not ViolationKind.OTHER else "error"]
        if self.constraint:
            words.append(spelled(self.constraint))
        if self.part_of:
            words.append(f"(part of {spelled(self.part_of[-1])})")
        if self.column:
            words.append(f"column {spelled(self.column)}")
        if self.table:
            words.append(f"on table {spelled(self.table)}")
        text = f"{' '.join(words)}, SQLSTATE {self.sqlstate}"
        if not self.constraint and not self.column:  # those two say it all
            text += f": {self.safe_message}"
        return text

    def __repr__(self) -> str:
        """Show the same words: a log line may hold the repr of anything."""
        return f"Violation({self})"

    @property
    def safe_message(self) -> str:
        """The server's message where it cannot hold a parameter's value, or where to find it."""
        if self.may_quote_values:
            return "its message may quote values, see .violation.message"
        return self.message
