# SPDX-License-Identifier: MIT
"""A statement's shape: all of it that does not vary with its values.

Shapes are interned: saying the same thing of the same shape gives the same object. A service builds
the same few statements all day, so building one is looking up shapes that are there already, and
what the engine compiled is found by the shape itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from attrs import evolve, field, frozen

from batchq.language.errors import InvalidBatch
from batchq.language.guards import (
    AT_MOST_ONE,
    EXACTLY_ONE,
    INSIDE,
    Bound,
    Guard,
    Requirement,
    When,
)
from batchq.language.mapping import INVARIANT, ErrorMapping, Raises
from batchq.language.matchers import Matcher, constraint
from batchq.language.models import model_of, why_not
from batchq.language.results import NO_RESULT, WITH_MODEL, WITHOUT_ROWS, Result, Rows
from batchq.language.syntax import (
    STAR,
    Conflict,
    Insert,
    Select,
    Source,
    Text,
    condition_names,
    parameter_names,
    selects,
    takes_outputs,
    tests_outputs,
)
from batchq.language.validation import is_text


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
    if guard.bound is not Bound.AT_LEAST or any(isinstance(column, Text) for column in columns):
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
    if isinstance(source, Text) or (isinstance(source, Select) and source.columns is not None):
        return None
    if shape.returned is not None or shape.result.rows not in WITH_MODEL:
        return shape.returned
    return model_of(shape.result.model).columns


# What the methods of a statement say of its shape. Each is said once and then looked up.


@lru_cache(maxsize=4096)
def with_result(shape: Shape, rows: str, model: Any) -> Shape:
    """Answer with a result: ``"one"``, ``"maybe"``, … and what each row is made into."""
    kind = Rows(rows)
    if kind is Rows.SCALAR and not _is_checkable(model):
        message = f"scalar() takes a class that values are instances of, not {model!r:.40}"
        raise InvalidBatch(message)
    if kind in WITH_MODEL:
        try:
            model_of(model)
        except InvalidBatch as error:
            message = f"{rows}() takes a class or a function that is made of a row: {error}"
            raise InvalidBatch(message) from None
    return _check_consistent(evolve(shape, result=Result(kind, model)))


def _is_checkable(model: object) -> bool:
    """Whether it is a class that can be asked for its instances, as a Protocol need not be."""
    try:
        return isinstance(model, type) and isinstance(object(), model) in (True, False)
    except TypeError:
        return False


def with_returning(shape: Shape, columns: tuple[str, ...]) -> Shape:
    """Name the columns that a built write returns."""
    named = columns and all(map(is_text, columns))
    if isinstance(shape.source, Text | Select) or not named:
        message = (
            "returning() names at least one column of a built insert, update or delete; a sql() "
            "text has its own RETURNING, a select() its columns"
        )
        raise InvalidBatch(message)
    return _with_returning(shape, columns)


@lru_cache(maxsize=4096)
def _with_returning(shape: Shape, columns: tuple[str, ...]) -> Shape:
    return _check_consistent(evolve(shape, returned=columns))


@lru_cache(maxsize=4096)
def with_conflict(shape: Shape, conflict: Conflict) -> Shape:
    """Let an insert pass over a row that is there already."""
    if not isinstance(shape.source, Insert):
        message = "on_conflict_do_nothing() is said of insert(); in sql() write ON CONFLICT"
        raise InvalidBatch(message)
    return evolve(shape, source=evolve(shape.source, conflict=conflict))


@lru_cache(maxsize=4096)
def with_lock(shape: Shape, lock: str, order: tuple[str, ...], fresh: bool) -> Shape:  # noqa: FBT001  by keyword it would be looked up slower
    """Lock the rows that a select finds."""
    if not isinstance(shape.source, Select):
        message = "for_update(): only a select() locks rows; in sql() write FOR UPDATE"
        raise InvalidBatch(message)
    return evolve(shape, source=evolve(shape.source, lock=lock, order=order), fresh=fresh)


@lru_cache(maxsize=4096)
def with_condition(shape: Shape, requirement: Requirement) -> Shape:
    """Add what each row has to meet."""
    _check_columns_named(requirement.columns)
    return _check_consistent(evolve(shape, conditions=(*shape.conditions, requirement)))


def _check_columns_named(columns: tuple[Any, ...]) -> None:
    for name in columns:
        if not is_text(name) or "\0" in name:
            message = f"columns=: name columns by non-empty str, not {name!r:.40}"
            raise InvalidBatch(message)


@lru_cache(maxsize=4096, typed=True)
def with_row_count(shape: Shape, bound: str, rows: int, carried: tuple[str, ...] = ()) -> Shape:
    """Guard the number of rows.

    :param carried: the columns of a row that must not be there which the error carries.
    """
    _check_columns_named(carried)
    if type(rows) is not int:
        message = f"expect() takes a number of rows, not {rows!r:.40}"
        raise InvalidBatch(message)
    guard = Guard(Bound(bound), rows)
    if rows < (0 if guard.bound is Bound.EXACTLY else 1):
        message = f"expect({guard}) always holds or never can"
        raise InvalidBatch(message)
    return _check_consistent(evolve(shape, expected=guard, carried=carried))


@lru_cache(maxsize=4096)
def with_mapping(shape: Shape, matcher: Matcher) -> Shape:
    """Map the failures that the matcher accepts."""
    return evolve(shape, declared=(*shape.declared, matcher))


@lru_cache(maxsize=4096)
def with_invariants(shape: Shape, constraints: tuple[str, ...]) -> Shape:
    """Declare constraints whose violation would be our bug."""
    if not constraints:
        message = "internal() names the constraints whose violation would be our bug"
        raise InvalidBatch(message)
    rules = [ErrorMapping(constraint(name), INVARIANT) for name in constraints]
    return evolve(shape, declared=(*shape.declared, *rules))


def _check_consistent(shape: Shape) -> Shape:
    """Refuse what contradicts the result."""
    guard, rows = shape.expected, shape.result.rows
    if rows is Rows.COUNT and shape.returned is not None:
        message = "count() and returning(...): the rows would be thrown away, drop one"
        raise InvalidBatch(message)
    _check_columns(shape)
    if shape.carried and rows is not Rows.NONE:
        message = "expect(0, columns=…): a result shape leaves no row to carry; drop one of them"
        raise InvalidBatch(message)
    if guard is None or rows in WITHOUT_ROWS:
        return shape
    if rows is Rows.MAYBE and guard.bound is Bound.AT_MOST:
        message = "maybe() says at most 1 row by itself: drop expect(), or use all()"
        raise InvalidBatch(message)
    if rows is Rows.MAYBE:
        message = f"maybe() allows no row and expect({guard}) does not: use one()"
        raise InvalidBatch(message)
    if rows in (Rows.ONE, Rows.SCALAR) and guard != EXACTLY_ONE:
        message = f"{rows.value}() promises exactly 1 row and expect() {guard}: use all()"
        raise InvalidBatch(message)
    if guard.rows == 0:
        message = "expect(0) leaves no row to return: drop the result shape, or use count()"
        raise InvalidBatch(message)
    return shape


def _check_columns(shape: Shape) -> None:
    """Refuse a result that cannot be made of the columns that are known.

    :raises InvalidBatch: after COMMIT it would be too late.
    """
    names, result = answered(shape), shape.result
    if names is None:
        return
    if result.rows is Rows.SCALAR and len(names) != 1:
        message = f"scalar() is of one column, and this names {len(names)}"
        raise InvalidBatch(message)
    why = why_not(result.model, names) if result.rows in WITH_MODEL else None
    if why is not None:
        raise InvalidBatch(f"{result}: {why}")
