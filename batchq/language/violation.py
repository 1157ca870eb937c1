# SPDX-License-Identifier: MIT
"""Define violations: the errors of the server, as observed and without inference."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from attrs import astuple, evolve, field, frozen

from batchq.language.pickling import picklable
from batchq.language.spelling import spelled


class ViolationKind(Enum):
    """The kind of a violation, by its SQLSTATE or, for guards, by a marker in the error.

    The value of the first five is the name of the function that returns a matcher of that kind,
    such as :func:`~batchq.unique`. GUARD is a guard that failed, OTHER any other error.
    """

    __hash__ = object.__hash__  # a member is one object; that of Enum is Python code
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
    # ON DELETE RESTRICT has a code of its own since PostgreSQL 18; before, it is 23503.
    "23001": ViolationKind.FOREIGN_KEY,
    "23514": ViolationKind.CHECK,
    "23502": ViolationKind.NOT_NULL,
    "23P01": ViolationKind.EXCLUSION,
}
"""PostgreSQL documentation, appendix A, "PostgreSQL Error Codes", class 23."""
_WORDS = {kind: kind.value for kind in ViolationKind} | {ViolationKind.OTHER: "error"}


@frozen
class Violation:
    """One error of the server. A field that the server did not send is None.

    ``message``, ``detail``, ``hint``, ``row`` and ``values`` may contain the caller's data, so they
    are attributes and never part of ``str()`` or ``repr()``.

    >>> Violation(kind=ViolationKind.UNIQUE, sqlstate="23505", constraint="name_key")
    Violation(unique "name_key", SQLSTATE 23505)

    :ivar kind: the kind, by the SQLSTATE; GUARD if a guard failed.
    :ivar sqlstate: the code of the error, five characters.
    :ivar constraint: the constraint, as the server names it.
    :ivar schema: the schema of the table.
    :ivar table: the table, as the server names it: for a foreign key always the child, even if the
        statement deletes from the parent. CockroachDB sends none.
    :ivar column: the column; for a NOT NULL violation only.
    :ivar message: the server's message, in the language of ``lc_messages``.
    :ivar detail: the server's DETAIL.
    :ivar hint: the server's HINT.
    :ivar severity: ERROR, or FATAL or PANIC if the server has also ended the session. Never
        translated.
    :ivar may_quote_values: True if the message may quote the caller's data, or if that is unknown.
    :ivar position: the position of the error in the SQL: a character, counted from 1.
    :ivar rows: for a guard on the number of rows only: the number that the statement affected.
    :ivar requirement: for a guard on a row only: the index of the failed ``require()``,
        ``refuse()`` or ``ensure()`` among those of the statement, from 0.
    :ivar isolation: for a guard on the isolation level only: the level that it rejected.
    :ivar part_of: for a constraint of a partition: the names of its parent constraints, the nearest
        first. A mapping of one of these also applies to this constraint. They are queried only if a
        mapping names another constraint than the server has sent.
    :ivar row: values of a row by column, as the connection's adapters load them. Set if a guard on
        a row failed: the columns in its conditions, and those in ``columns=`` and
        ``format_error()``. Set by ``expect(0)`` too: the first unexpected row. Otherwise empty.
        A value is text, as the server wrote it, in two cases. Its loader failed, as psycopg's does
        for the date ``infinity``. Or the DateStyle or IntervalStyle was changed within the
        transaction (SET LOCAL), by which a loader could misread a date, a timestamp or an interval,
        or a value of a type that contains one or is not built in.
    :ivar values: the values of the failed statement by name: of a row by column, of ``sql()`` by
        placeholder. A column that is both set and compared has the value that is set. Without the
        outputs of other statements, which only the server knows. Empty if the failed step is
        unknown; a function that fails without them maps nothing.
    """

    kind: ViolationKind
    sqlstate: str
    constraint: str | None = None
    schema: str | None = None
    table: str | None = None
    column: str | None = None
    message: str = ""
    detail: str | None = None
    hint: str | None = None
    severity: str = "ERROR"
    may_quote_values: bool = True
    position: int | None = None
    rows: int | None = None
    requirement: int | None = None
    isolation: str | None = None
    part_of: tuple[str, ...] = ()
    row: Mapping[str, Any] = field(factory=dict[str, Any], eq=False)
    values: Mapping[str, Any] = field(factory=dict[str, Any], eq=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it; a value that cannot be pickled is replaced by words."""
        row, values = ({k: picklable(v) for k, v in own.items()} for own in (self.row, self.values))
        return Violation, astuple(evolve(self, row=row, values=values), recurse=False)

    def __str__(self) -> str:
        """Return a description without the caller's data."""
        if self.requirement is not None:
            return "guard refused a row"
        if self.isolation is not None:
            return f"guard refused the isolation level {self.isolation.upper()}"
        if self.kind is ViolationKind.GUARD:
            return f"guard saw {self.rows} {'row' if self.rows == 1 else 'rows'}"
        words = [_WORDS[self.kind]]
        if self.constraint:
            words.append(spelled(self.constraint))
        if self.part_of:
            words.append(f"(part of {spelled(self.part_of[-1])})")
        if self.column:
            words.append(f"column {spelled(self.column)}")
        if self.table:
            words.append(f"on table {spelled(self.table)}")
        text = f"{' '.join(words)}, SQLSTATE {self.sqlstate}"
        if not self.constraint and not self.column:  # either of them is enough
            text += f": {self.safe_message}"
        return text

    def __repr__(self) -> str:
        """Return the same, because a log may contain the repr."""
        return f"Violation({self})"

    @property
    def safe_message(self) -> str:
        """The message of the server if it cannot quote a value, or else where to find it."""
        if self.may_quote_values:
            return "its message may quote values, see .violation.message"
        return self.message
