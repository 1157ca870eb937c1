# SPDX-License-Identifier: MIT
"""Define the shape of a statement: everything except its values.

Shapes are interned: the same change of the same shape returns the same object. A service builds the
same statements again and again. So building one is a few look-ups of existing shapes, and the
engine caches what it has compiled by the shape object.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import field, frozen

from batchq.language.errors import InvalidBatch
from batchq.language.guards import (
    AT_MOST_ONE,
    EXACTLY_ONE,
    FOUND,
    INSIDE,
    Bound,
    Guard,
    Requirement,
    When,
)
from batchq.language.mapping import ErrorMapping, Raises
from batchq.language.matchers import Matcher
from batchq.language.models import model_of
from batchq.language.old import Returned, result_names
from batchq.language.output_uses import takes_outputs, tests_outputs
from batchq.language.repeated import check_repeated
from batchq.language.results import EXACTLY_ONE_ROW, NO_RESULT, WITH_MODEL, Result, Rows
from batchq.language.source_columns import check_source_columns
from batchq.language.syntax import (
    STAR,
    Insert,
    RawSql,
    Select,
    Source,
    is_value,
    selects,
)
from batchq.language.value_places import lists_alone, places_of


@frozen(eq=False)
class Shape:
    """The SQL of a statement, its result, its guards, and which failures are mapped."""

    source: Source
    result: Result = NO_RESULT
    expected: Guard | None = None
    """The guard of ``.expect(...)``."""
    returned: tuple[Returned, ...] | None = None
    """The columns of ``.returning(...)``."""
    carried: tuple[str, ...] = ()
    """The columns of ``.expect(0, columns=...)``, which the error reports."""
    conditions: tuple[Requirement, ...] = ()
    """The conditions on each row, in the order of declaration: the first that fails decides."""
    fresh: bool = False
    """True if later steps must see everything that was committed before this step got its lock, for
    ``for_update()``. The server rejects the statement if they would not."""
    declared: tuple[Matcher | ErrorMapping, ...] = ()
    """The mappings, in the order of declaration: a matcher, if the statement has the exception to
    raise, or a whole mapping, for ``.invariant(...)``."""
    requirements: tuple[Requirement, ...] = field(init=False)
    """The conditions; or, if the error reports the unexpected row, that no row exists."""
    guard: Guard | None = field(init=False)
    """The guard that the server checks: that of ``.expect(...)``, or the one the result implies."""
    columns: tuple[Returned, ...] | None = field(init=False)
    """The columns that batchq writes in RETURNING or a select list. None if they are unknown, or
    part of the user's SQL."""
    names: tuple[str, ...] = field(init=False)
    """A name for each value that a statement of this shape takes, for messages."""
    long_names: tuple[Matcher, ...] = field(init=False)
    """The matchers whose name may be longer than the server allows."""
    takes_outputs: bool = field(init=False)
    """True if an output of another statement is among the values."""
    lists_alone: range = field(init=False)
    """The places of the lists, if a ``where=`` of ``not_in()`` alone decides what is changed."""
    probe: int | None = field(init=False)
    """The number of rows that decides the guard, if the statement does nothing but find rows."""
    is_bare: bool = field(init=False)
    """True if the statement is only its SQL, which may lock."""
    is_value: bool = field(init=False)
    """True if that is one expression, which can stand in the place of a value."""

    def __attrs_post_init__(self) -> None:
        """Derive the other fields, once per shape."""
        object.__setattr__(self, "requirements", _requirements(self))
        check_source_columns(self.source, self.requirements)
        check_repeated(self.source, self.requirements, self.result, self.returned or ())
        tests = [requirement.test for requirement in self.requirements]
        names = tuple([name for name, _ in places_of(self)])
        flows = takes_outputs(self.source) or any(map(tests_outputs, tests))
        object.__setattr__(self, "guard", _guard(self))
        object.__setattr__(self, "columns", _columns(self))
        object.__setattr__(self, "names", names)
        matchers = (
            entry.matcher if isinstance(entry, ErrorMapping) else entry for entry in self.declared
        )
        long_names = tuple(matcher for matcher in matchers if matcher.is_long)
        object.__setattr__(self, "long_names", long_names)
        object.__setattr__(self, "takes_outputs", flows)
        object.__setattr__(self, "lists_alone", lists_alone(self.source))
        object.__setattr__(self, "probe", _probe(self))
        bare = self.result is NO_RESULT and not self._checks_rows and not self.declared
        object.__setattr__(self, "is_bare", bare)
        object.__setattr__(self, "is_value", bare and is_value(self.source))

    @property
    def wrapped(self) -> bool:
        """True if SQL around the statement counts or checks its rows, or checks its isolation."""
        return self.fresh or self._checks_rows

    @property
    def _checks_rows(self) -> bool:
        outside = any(requirement.when not in INSIDE for requirement in self.requirements)
        return self.guard is not None or outside

    @property
    def carries_unexpected(self) -> bool:
        """True if there must be no row and the error reports the first one."""
        return any(requirement.when is When.NEVER for requirement in self.requirements)

    def mappings(self, raises: tuple[Raises, ...]) -> Iterator[ErrorMapping]:
        """Yield the mappings of a statement that raises these, in the order of declaration."""
        own = iter(raises)
        for entry in self.declared:
            yield entry if isinstance(entry, ErrorMapping) else ErrorMapping(entry, next(own))


def _guard(shape: Shape) -> Guard | None:
    if shape.expected is not None:
        return shape.expected
    if isinstance(shape.source, Insert) and _is_one(shape.source):
        return None  # always inserts or updates one row
    match shape.result.rows:
        case rows if rows in EXACTLY_ONE_ROW:
            return EXACTLY_ONE
        case Rows.MAYBE:
            return AT_MOST_ONE
        case Rows.NONE if any(each.when in FOUND for each in shape.requirements):
            return EXACTLY_ONE  # a missing row does not meet a requirement
        case _:
            return None


def _is_one(source: Insert) -> bool:
    on = source.conflict
    return source.query is None and (on is None or (on.updates and not on.where))


def _requirements(shape: Shape) -> tuple[Requirement, ...]:
    source, guard = shape.source, shape.expected
    is_zero = guard is not None and guard.bound is Bound.EXACTLY and guard.rows == 0
    if not is_zero or shape.conditions or shape.result is not NO_RESULT:
        return shape.conditions
    if not isinstance(source, Select) and not selects(source) and not shape.carried:
        return ()  # a write: the guard is on the number of rows changed
    named = source.columns or () if isinstance(source, Select) else ()
    columns = (*shape.carried, *(column for column in named if isinstance(column, str)))
    return (Requirement(When.NEVER, (), tuple(dict.fromkeys(columns))),)


def _probe(shape: Shape) -> int | None:
    """Return the number of rows after which a select can stop; None if it needs all.

    All rows are needed if they are locked, if each has conditions to meet, and in a ``sql()`` text
    or fragment, which may call a function with side effects. A row that must not exist always stops
    it, because it aborts.
    """
    source = shape.source
    if shape.carries_unexpected:
        return 1 if isinstance(source, Select) or selects(source) else None
    guard = shape.expected
    if not isinstance(source, Select) or source.lock is not None or guard is None:
        return None
    if shape.result.rows is not Rows.NONE or shape.conditions:
        return None
    columns = source.columns or ()
    if guard.bound is not Bound.AT_LEAST or any(isinstance(column, RawSql) for column in columns):
        return None
    return guard.rows


def answered(shape: Shape) -> tuple[str | None, ...] | None:
    """Return the names of the columns of the result, None for each that the server names.

    :return: None if even their number is unknown.
    """
    source = shape.source
    if not isinstance(source, Select) or source.columns is None:
        return None if shape.columns is None else result_names(shape.columns)
    names = [column if isinstance(column, str) else column.label for column in source.columns]
    return None if STAR in names else tuple(names)


def _columns(shape: Shape) -> tuple[Returned, ...] | None:
    source = shape.source
    if isinstance(source, RawSql) or (isinstance(source, Select) and source.columns is not None):
        return None
    if shape.returned is not None or shape.result.rows not in WITH_MODEL:
        return shape.returned
    return model_of(shape.result.model).columns


def check_single_row(shape: Shape, title: str) -> None:
    """Reject the shape of a statement with outputs if it may return more or less than one row.

    :param title: the title of the statement, for the text of the error.
    :raises InvalidBatch: unless it is guarded to be exactly one row, or always is.
    """
    is_one = shape.guard in (None, EXACTLY_ONE)
    if not is_one or shape.result.rows in (Rows.MAYBE, Rows.ALL, Rows.COUNT, Rows.EXISTS):
        raise InvalidBatch(
            f"output(): {title} may return another number of rows than one; use .one(), .scalar() "
            f"or .expect(1)"
        )
