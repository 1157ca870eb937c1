# SPDX-License-Identifier: MIT
"""Select failures by SQLSTATE *and* constraint name.

Only the name is sent by both PostgreSQL and CockroachDB and is unambiguous: CockroachDB sends no
table, columns are ambiguous with partial indexes, and a UNIQUE and a CHECK constraint may have the
same name. The name of a partitioned table's constraint also matches its constraints on the
partitions, which have other names.
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

# Looked up once: for a member of an enum Python 3.11 calls a function.
_UNIQUE, _FOREIGN_KEY, _CHECK = (
    ViolationKind.UNIQUE,
    ViolationKind.FOREIGN_KEY,
    ViolationKind.CHECK,
)
_NOT_NULL, _EXCLUSION = ViolationKind.NOT_NULL, ViolationKind.EXCLUSION
_LONGEST = 63
_SQLSTATE = re.compile(r"[0-9A-Z]{5}")


@frozen(eq=False)
class Matcher:
    """A pattern for a :class:`~batchq.Violation`, as :meth:`Statement.on` takes it.

    Created by :func:`~batchq.unique`, :func:`~batchq.check`, :func:`~batchq.foreign_key`,
    :func:`~batchq.exclusion`, :func:`~batchq.not_null`, :func:`~batchq.sqlstate`,
    :func:`~batchq.missing`, :func:`~batchq.unexpected` and :func:`~batchq.unmet`; not by calling
    the class. Equal patterns are one object, so that shapes that contain it can be looked up.

    :ivar kind: the kind of violation; None for a SQLSTATE, and for a constraint of any kind.
    :ivar name: the name of the constraint, or of the column for NOT NULL.
    :ivar sqlstate: the SQLSTATE; None except for :func:`~batchq.sqlstate`.
    :ivar requirement: for a guard on a row: the index of the requirement, from 0.
    :ivar columns: for :func:`unmet`: the columns of the condition; empty for any.
    :ivar is_long: True if the name may be longer than 63 bytes, to which PostgreSQL truncates
        names. A character that is not ASCII may take up to 4 bytes, depending on the encoding.
    """

    kind: ViolationKind | None = None
    name: str | None = None
    sqlstate: str | None = None
    requirement: int | None = None
    columns: frozenset[str] | None = None
    is_long: bool = field(init=False)
    _text: str = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Measure the name, and write the text, which each failure has."""
        is_name = self.kind is not ViolationKind.GUARD and self.name is not None
        name = (self.name or "") if is_name else ""
        max_bytes = len(name) * (1 if name.isascii() else 4)
        object.__setattr__(self, "is_long", max_bytes > _LONGEST)
        object.__setattr__(self, "_text", _text_of(self))

    def matches(self, violation: Violation) -> bool:
        """Return True if the mapping applies to this violation."""
        if self.sqlstate is not None:
            # A guard uses the SQLSTATE of a failed cast, but is not one.
            return violation.sqlstate == self.sqlstate and violation.kind is not ViolationKind.GUARD
        if self.kind is None:
            return violation.kind is not ViolationKind.GUARD and self._is_named(violation)
        if violation.kind is not self.kind:
            return False
        if self.kind is ViolationKind.GUARD:
            return self._matches_guard(violation)
        if self.kind is ViolationKind.NOT_NULL:
            return violation.column == self.name
        return self._is_named(violation)

    @property
    def is_outer(self) -> bool:
        """True for a matcher of guards that are written elsewhere."""
        return self in (_MISSING, _UNEXPECTED) or self.columns is not None

    def _matches_guard(self, violation: Violation) -> bool:
        if violation.isolation is not None:
            return False  # it is not about rows
        if self.columns is not None:
            return violation.requirement is not None
        return self in TOO_MANY or violation.requirement == self.requirement

    def _is_named(self, violation: Violation) -> bool:
        """Return True if the constraint has this name, or its parent on a partitioned table."""
        return violation.constraint == self.name or self.name in violation.part_of

    def __str__(self) -> str:
        """Return the call that creates this matcher, as a user would write it."""
        return self._text


def _text_of(matcher: Matcher) -> str:
    if matcher.sqlstate is not None:
        return f'sqlstate("{matcher.sqlstate}")'
    if matcher.kind is ViolationKind.GUARD:
        return matcher.name or "expect(...)"
    call = "invariant" if matcher.kind is None else matcher.kind.value
    return f"{call}({spelled(matcher.name or '')})"


def unique(name: str) -> Matcher:
    """Match a violated UNIQUE constraint, primary key or unique index of that name (23505).

    For a constraint WITHOUT OVERLAPS, use :func:`exclusion`: PostgreSQL 18 reports it as 23P01.

    :param name: the name in the catalog; for a primary key, by default ``project_pkey``.
    :raises InvalidBatch: if it is not a non-empty str.

    >>> str(unique("project_org_id_name_key"))
    'unique("project_org_id_name_key")'
    """
    return matcher_of(_UNIQUE, name)


def check(name: str) -> Matcher:
    """Match a violated CHECK constraint of that name, of a table or of a domain (23514).

    >>> str(check("account_projects_check"))
    'check("account_projects_check")'
    """
    return matcher_of(_CHECK, name)


def foreign_key(name: str) -> Matcher:
    """Match a violated foreign key of that name (23503; since PostgreSQL 18 also 23001).

    Either the row to insert has no parent, or the row to delete has children.

    >>> str(foreign_key("vpc_project_id_fkey"))
    'foreign_key("vpc_project_id_fkey")'
    """
    return matcher_of(_FOREIGN_KEY, name)


def exclusion(name: str) -> Matcher:
    """Match a violated exclusion constraint of that name (23P01). PostgreSQL only.

    >>> str(exclusion("booking_room_during_excl"))
    'exclusion("booking_room_during_excl")'
    """
    return matcher_of(_EXCLUSION, name)


def not_null(column: str) -> Matcher:
    """Match NULL in a NOT NULL column (23502). The servers send the column, not the constraint.

    For a domain that is NOT NULL, use ``sqlstate("23502")``: PostgreSQL then sends neither.

    :param column: the name of the column.
    :raises InvalidBatch: if it is not a non-empty str.

    >>> str(not_null("name"))
    'not_null("name")'
    """
    return matcher_of(_NOT_NULL, column)


def sqlstate(code: str) -> Matcher:
    """Match one SQLSTATE, for failures that are not of a constraint.

    :param code: as in PostgreSQL documentation, appendix A, "PostgreSQL Error Codes".
    :raises InvalidBatch: if it is not five digits or capital letters.

    >>> str(sqlstate("22003"))
    'sqlstate("22003")'
    """
    try:
        return _cached_sqlstate(code)
    except TypeError:  # it is not hashable, so not a str
        raise InvalidBatch(_NOT_A_SQLSTATE.format(code)) from None


_NOT_A_SQLSTATE = "sqlstate({!r:.40}): pass five digits or capital letters"


@lru_cache(maxsize=4096)
def _cached_sqlstate(code: str) -> Matcher:
    if not is_text(code) or not _SQLSTATE.fullmatch(code):
        raise InvalidBatch(_NOT_A_SQLSTATE.format(code))
    return Matcher(sqlstate=code)


def constraint(name: str) -> Matcher:
    """Match a constraint of any kind with that name; for ``.invariant("name")``."""
    return matcher_of(None, name)


MISSING_ROWS = Matcher(ViolationKind.GUARD)
"""Fewer rows than the guard allows; for ``.expect(..., missing=...)``."""
UNEXPECTED_ROWS = Matcher(ViolationKind.GUARD, "expect(unexpected=...)")
"""More rows than the guard allows; for ``.expect(..., unexpected=...)``."""
_MISSING = Matcher(ViolationKind.GUARD, "missing()")
_UNEXPECTED = Matcher(ViolationKind.GUARD, "unexpected()")
TOO_MANY = frozenset({UNEXPECTED_ROWS, _UNEXPECTED})
"""The matchers of more rows than a guard allows; others of a number of rows match fewer."""


def missing() -> Matcher:
    """Match fewer rows than a guard allows: of ``.expect(…)``, ``.one()`` and ``.scalar()``.

    For ``part.on(missing(), raises)``, around a statement or a batch that is written elsewhere: its
    404 may be a 400 of the whole. On the statement itself write ``.expect(…, missing=raises)``.

    >>> from batchq import update
    >>> touch = update("project", {"name": "web"}, {"id": 7}).expect(1, missing=LookupError("7"))
    >>> whole = touch.label("project").on(missing(), ValueError("project: no such project"))
    """
    return _MISSING


def unexpected() -> Matcher:
    """Match more rows than a guard allows, as :func:`missing` matches fewer.

    With ``expect(0)``, the first of them is in :attr:`Violation.row`, if the guard reports it.

    It also matches a row that matches two rows of the other table of an update or delete. Its
    columns in ``on=`` are in :attr:`Violation.row`.
    """
    return _UNEXPECTED


def unmet(*columns: str) -> Matcher:
    """Match a row that does not meet a condition: of ``require``, ``refuse`` or ``ensure``.

    For ``part.on(unmet("state"), raises)``, as :func:`missing`.

    :param columns: the columns of the condition, exactly these in any order; none: any condition.
        A ``sql()`` fragment names no column, so it is matched by ``unmet()`` only.
    :raises InvalidBatch: if a column is not a non-empty str.

    >>> str(unmet("state", "attempts"))
    'unmet("attempts", "state")'
    """
    if not all(map(is_text, columns)):
        raise InvalidBatch('unmet(): pass names of columns, each a non-empty str: unmet("state")')
    return _unmet(frozenset(columns))


@lru_cache(maxsize=4096)
def _unmet(columns: frozenset[str]) -> Matcher:
    name = f"unmet({', '.join(map(spelled, sorted(columns)))})"
    return Matcher(ViolationKind.GUARD, name, columns=columns)


@lru_cache(maxsize=4096)
def unmet_requirement(index: int, requirement: Requirement) -> Matcher:
    """Match a row that does not meet the requirement with that index, from 0."""
    return Matcher(ViolationKind.GUARD, str(requirement), requirement=index)


def is_matcher(value: object) -> bool:
    """Return True for a matcher. ``.on("name", …)``, without one, is a common mistake."""
    return isinstance(value, Matcher)


def matcher_of(kind: ViolationKind | None, name: str) -> Matcher:
    """Match a violation of that kind, or of any kind, by the name of the constraint or column.

    :raises InvalidBatch: if it is not a non-empty str.
    """
    try:
        return _cached_matcher(kind, name)
    except TypeError:  # it is not hashable, so not a str
        raise _not_a_name(kind, name) from None


def _not_a_name(kind: ViolationKind | None, name: object) -> InvalidBatch:
    call = "invariant" if kind is None else kind.value
    what = "column" if kind is ViolationKind.NOT_NULL else "constraint"
    return InvalidBatch(f"{call}(): the name of a {what} must be a non-empty str, not {name!r:.40}")


@lru_cache(maxsize=4096)
def _cached_matcher(kind: ViolationKind | None, name: str) -> Matcher:
    if not is_text(name):
        raise _not_a_name(kind, name)
    if "\0" in name:
        call = "invariant" if kind is None else kind.value
        raise InvalidBatch(f"{call}(): {name!r:.40} contains a NUL, which no name does; remove it")
    return Matcher(kind, name)
