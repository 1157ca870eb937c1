# SPDX-License-Identifier: MIT
"""Which failures a mapping is for. A matcher checks the SQLSTATE *and* the name.

The name is the only handle that both engines send and that is unambiguous: tables are missing on
CockroachDB, columns are ambiguous under partial indexes, and a UNIQUE and a CHECK may share a name.
That of a partitioned table's constraint stands for it in every partition, whatever it is called
there.
"""

from __future__ import annotations

import re
from functools import lru_cache

from attrs import field, frozen

from batchq.language.errors import InvalidBatch
from batchq.language.guards import Requirement
from batchq.language.spelling import spelled
from batchq.language.validation import is_text
from batchq.language.violation import Violation, ViolationKind

_LONGEST = 63
_SQLSTATE = re.compile(r"[0-9A-Z]{5}")


@frozen(eq=False)
class Matcher:
    """A pattern for a :class:`~batchq.Violation`; made by the functions of this module.

    One object a pattern, so that what was said with it is found again.
    """

    kind: ViolationKind | None = None
    """The kind it is for; None accepts every kind of constraint."""
    name: str | None = None
    """The constraint's name, or the column's for NOT NULL."""
    sqlstate: str | None = None
    requirement: int | None = None
    """Of a guard: which of the statement's requirements, from 0; None for the number of rows."""
    is_long: bool = field(init=False)
    """Whether the name may be longer than the 63 bytes that PostgreSQL keeps of one. Where it is
    not ASCII its length in bytes depends on the server's encoding, which takes up to 4 for each."""

    def __attrs_post_init__(self) -> None:
        """Look at the name, once a matcher."""
        is_name = self.kind is not ViolationKind.GUARD and self.name is not None
        name = (self.name or "") if is_name else ""
        most = len(name) * (1 if name.isascii() else 4)
        object.__setattr__(self, "is_long", most > _LONGEST)

    def matches(self, violation: Violation) -> bool:
        """Whether this violation is one that the mapping is for."""
        if self.sqlstate is not None:
            # A guard borrows the SQLSTATE of a failed cast; it is no such failure.
            return violation.sqlstate == self.sqlstate and violation.kind is not ViolationKind.GUARD
        if self.kind is None:
            return violation.kind is not ViolationKind.GUARD and self._is_named(violation)
        if violation.kind is not self.kind:
            return False
        if self.kind is ViolationKind.GUARD:
            # A refused isolation level says nothing about rows, so no mapping is for it.
            is_this = self is UNEXPECTED_ROWS or violation.requirement == self.requirement
            return violation.isolation is None and is_this
        if self.kind is ViolationKind.NOT_NULL:
            return violation.column == self.name
        return self._is_named(violation)

    def _is_named(self, violation: Violation) -> bool:
        """Whether the constraint has this name, or is a part, in a partition, of one that has."""
        return violation.constraint == self.name or self.name in violation.part_of

    def __str__(self) -> str:
        """Show the call that makes this matcher, as a user would write it."""
        if self.sqlstate is not None:
            return f'sqlstate("{self.sqlstate}")'
        if self.kind is ViolationKind.GUARD:
            return self.name or "expect(...)"
        call = "invariant" if self.kind is None else self.kind.value
        return f"{call}({spelled(self.name or '')})"


def unique(name: str) -> Matcher:
    """Match a duplicate key: a UNIQUE constraint, a primary key or a unique index of that name.

    One WITHOUT OVERLAPS (PostgreSQL 18) is violated as an exclusion constraint: :func:`exclusion`.

    >>> str(unique("project_org_id_name_key"))
    'unique("project_org_id_name_key")'
    """
    return _matcher(ViolationKind.UNIQUE, name)


def check(name: str) -> Matcher:
    """Match a violated CHECK constraint of that name, of a table or of a domain."""
    return _matcher(ViolationKind.CHECK, name)


def foreign_key(name: str) -> Matcher:
    """Match a violated foreign key of that name, from the child's side or the parent's."""
    return _matcher(ViolationKind.FOREIGN_KEY, name)


def exclusion(name: str) -> Matcher:
    """Match a violated exclusion constraint of that name. PostgreSQL only."""
    return _matcher(ViolationKind.EXCLUSION, name)


def not_null(column: str) -> Matcher:
    """Match NULL in a column that refuses it. The servers send no name here, only the column.

    Not where a domain refuses it by its type (``CREATE DOMAIN … NOT NULL``): of that PostgreSQL
    sends neither column nor constraint, so it is mapped by ``sqlstate("23502")``.
    """
    return _matcher(ViolationKind.NOT_NULL, column)


@lru_cache(maxsize=4096)
def sqlstate(code: str) -> Matcher:
    """Match an exact SQLSTATE, for what is no constraint: ``sqlstate("22003")``.

    :raises InvalidBatch: when the code is not five digits or capital letters.
    """
    if not is_text(code) or not _SQLSTATE.fullmatch(code):
        message = f"sqlstate({code!r}): a SQLSTATE has five digits or capital letters"
        raise InvalidBatch(message)
    return Matcher(sqlstate=code)


def constraint(name: str) -> Matcher:
    """Match any kind of constraint of that name: what ``.invariant("name")`` declares."""
    return _matcher(None, name)


MISSING_ROWS = Matcher(ViolationKind.GUARD)
"""What ``.expect(..., missing=...)`` maps: fewer rows than the guard allows."""
UNEXPECTED_ROWS = Matcher(ViolationKind.GUARD, "expect(unexpected=...)")
"""What ``.expect(..., unexpected=...)`` maps: more rows than the guard allows."""


@lru_cache(maxsize=4096)
def unmet(index: int, requirement: Requirement) -> Matcher:
    """Match a row that does not meet a requirement: the statement's ``index``-th, from 0."""
    return Matcher(ViolationKind.GUARD, str(requirement), requirement=index)


def is_matcher(value: object) -> bool:
    """Whether a value is a matcher: ``.on("name", …)`` is an easy slip."""
    return isinstance(value, Matcher)


@lru_cache(maxsize=4096)
def _matcher(kind: ViolationKind | None, name: str) -> Matcher:
    if not is_text(name):
        message = "a matcher needs the constraint's name (the column's, for not_null)"
        raise InvalidBatch(message)
    if "\0" in name:
        message = f"no name has a NUL in it, so nothing would match {name!r:.40}"
        raise InvalidBatch(message)
    return Matcher(kind, name)
