# SPDX-License-Identifier: MIT
"""A statement's shape: all of it that does not vary with its values.

Shapes are interned: saying the same thing of the same shape gives the same object. A service builds
the same few statements all day, so building one is looking up shapes that are there already, and
what the engine compiled is found by the shape itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import field, frozen

from batchq.language.guards import (
    AT_MOST_ONE,
    EXACTLY_ONE,
    INSIDE,
    Bound,
    Guard,
    Requirement,
    When,
)
from batchq.language.mapping import ErrorMapping, Raises
from batchq.language.matchers import Matcher
from batchq.language.models import model_of
from batchq.language.results import NO_RESULT, WITH_MODEL, Result, Rows
from batchq.language.syntax import (
    STAR,
    Insert,
    RawSql,
    Select,
    Source,
    condition_names,
    parameter_names,
    selects,
    takes_outputs,
    tests_outputs,
)


@frozen(eq=False)
class Shape:
    """What a statement does, answers with and promises, and which failures mean something."""

    source: Source
    result: Result = NO_RESULT
    expected: Guard | None = None
    """The guard that ``.expect(...)`` set."""
    returned: tuple[str, ...] | None = None
    """The columns that ``.returning(...)`` named."""
    carried: tuple[str, ...] = ()
    """The columns that ``.expect(0, columns=...)`` named."""
    conditions: tuple[Requirement, ...] = ()
    """What each row has to meet. In the order of declaration: the first unmet one decides."""
    fresh: bool = False
    """Whether later steps must see everything that was committed before this one got its lock. The
    server rejects the statement if they would not: ``for_update()``."""
    declared: tuple[Matcher | ErrorMapping, ...] = ()
    """What is mapped, in the order of declaration: a matcher, whose meaning the statement has, or a
    whole rule, for ``.invariant(...)``."""
    requirements: tuple[Requirement, ...] = field(init=False)
    """The conditions; or that there be no row, if the error carries the one that there is."""
    guard: Guard | None = field(init=False)
    """The guard that the server will check: the one asked for, or the result's own promise."""
    columns: tuple[str, ...] | None = field(init=False)
    """The columns that batchq writes out for it, in RETURNING or a select list. None where nobody
    names them, or the user's own SQL does."""
    names: tuple[str, ...] = field(init=False)
    """A name for each of the values that a statement of this shape takes; for people."""
    long_names: tuple[Matcher, ...] = field(init=False)
    """What is mapped by a name that may be too long for the server."""
    takes_outputs: bool = field(init=False)
    """Whether another statement's output is among the values."""
    probe: int | None = field(init=False)
    """How many rows decide the guard, if the statement does nothing but look for them."""

    def __attrs_post_init__(self) -> None:
        """Derive the rest, once a shape."""
        object.__setattr__(self, "requirements", _requirements(self))
        tests = [requirement.test for requirement in self.requirements]
        names = parameter_names(self.source) + sum(map(condition_names, tests), ())
        flows = takes_outputs(self.source) or any(map(tests_outputs, tests))
        object.__setattr__(self, "guard", _guard(self))
        object.__setattr__(self, "columns", _columns(self))
        object.__setattr__(self, "names", names)
        matchers = (one.matcher if isinstance(one, ErrorMapping) else one for one in self.declared)
        long_names = tuple(matcher for matcher in matchers if matcher.is_long)
        object.__setattr__(self, "long_names", long_names)
        object.__setattr__(self, "takes_outputs", flows)
        object.__setattr__(self, "probe", _probe(self))

    @property
    def is_bare(self) -> bool:
        """Whether it says no more than its SQL."""
        return self.result is NO_RESULT and not self.wrapped and not self.declared

    @property
    def wrapped(self) -> bool:
        """Whether the rows are counted and judged around the statement, once it has run."""
        outside = any(one.when not in INSIDE for one in self.requirements)
        return self.guard is not None or outside

    @property
    def carries_unexpected(self) -> bool:
        """Whether there must be no row, and the error carries the first that there is."""
        return any(one.when is When.NEVER for one in self.requirements)

    def mappings(self, raises: tuple[Raises, ...]) -> Iterator[ErrorMapping]:
        """Yield the mappings of a statement that raises these, in the order of declaration."""
        own = iter(raises)
        for one in self.declared:
            yield one if isinstance(one, ErrorMapping) else ErrorMapping(one, next(own))


def _guard(shape: Shape) -> Guard | None:
    if shape.expected is not None:
        return shape.expected
    if isinstance(shape.source, Insert) and shape.source.conflict is None:
        return None  # one row by construction
    match shape.result.rows:
        case Rows.ONE | Rows.SCALAR:
            return EXACTLY_ONE
        case Rows.MAYBE:
            return AT_MOST_ONE
        case Rows.NONE if any(one.when is When.BEFORE for one in shape.requirements):
            return EXACTLY_ONE  # what is required of a row is not met by its absence
        case _:
            return None


def _requirements(shape: Shape) -> tuple[Requirement, ...]:
    source, guard = shape.source, shape.expected
    none = guard is not None and guard.bound is Bound.EXACTLY and guard.rows == 0
    if not none or shape.conditions or shape.result is not NO_RESULT:
        return shape.conditions
    if not isinstance(source, Select) and not selects(source) and not shape.carried:
        return ()  # a number of rows changed
    named = source.columns or () if isinstance(source, Select) else ()
    columns = (*shape.carried, *(column for column in named if isinstance(column, str)))
    return (Requirement(When.NEVER, (), tuple(dict.fromkeys(columns))),)


def _probe(shape: Shape) -> int | None:
    """Return the number of rows after which a look for rows can stop.

    Rows that are locked are all wanted. So are those of a ``sql()`` text or of a fragment, which
    may call a function for its effect; but for a row that must not be there, which ends it all.
    """
    source = shape.source
    if shape.carries_unexpected:
        return 1 if isinstance(source, Select) or selects(source) else None
    guard = shape.expected
    if not isinstance(source, Select) or source.lock is not None or guard is None:
        return None
    if shape.result.rows is not Rows.NONE:
        return None
    columns = source.columns or ()
    if guard.bound is not Bound.AT_LEAST or any(isinstance(column, RawSql) for column in columns):
        return None
    return guard.rows


def answered(shape: Shape) -> tuple[str | None, ...] | None:
    """The names of the columns that it answers with, None for one that the server will name; None
    where nobody knows how many there are."""
    source = shape.source
    if not isinstance(source, Select) or source.columns is None:
        return shape.columns
    names = [one if isinstance(one, str) else one.label for one in source.columns]
    return None if STAR in names else tuple(names)


def _columns(shape: Shape) -> tuple[str, ...] | None:
    source = shape.source
    if isinstance(source, RawSql) or (isinstance(source, Select) and source.columns is not None):
        return None
    if shape.returned is not None or shape.result.rows not in WITH_MODEL:
        return shape.returned
    return model_of(shape.result.model).columns
