# SPDX-License-Identifier: MIT
"""A statement's shape: all of it that does not vary with its values.

Shapes are interned: saying the same thing of the same shape gives the same object. A service builds
the same few statements all day, so building one is looking up shapes that are there already, and
what the engine compiled is found by the shape itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, cast

from attrs import evolve, field, frozen

from batchq.language.errors import InvalidBatch
from batchq.language.guards import (
    AT_MOST_ONE,
    EXACTLY_ONE,
    INSIDE,
    Bound,
    Guard,
    Judged,
    Requirement,
)
from batchq.language.mapping import INTERNAL, Meaning, Rule
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
    requirements: tuple[Requirement, ...] = ()
    """What each row has to meet. In the order of declaration: the first unmet one decides."""
    probes: bool = False
    """Whether one row says it all: ``require(...)`` and ``forbid(...)``."""
    fresh: bool = False
    """Whether the steps behind it must see all that was committed before it got its lock; the
    server refuses it where they do not: ``lock(...)``."""
    declared: tuple[Matcher | Rule, ...] = ()
    """What is mapped, in the order of declaration: a matcher, whose meaning the statement has, or a
    whole rule, for ``.internal(...)``."""
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

    def __attrs_post_init__(self) -> None:
        """Derive the rest, once a shape."""
        tests = [requirement.test for requirement in self.requirements]
        names = parameter_names(self.source) + sum(map(condition_names, tests), ())
        flows = takes_outputs(self.source) or any(map(tests_outputs, tests))
        object.__setattr__(self, "guard", _guard(self))
        object.__setattr__(self, "columns", _columns(self))
        object.__setattr__(self, "names", names)
        matchers = (one.matcher if isinstance(one, Rule) else one for one in self.declared)
        long_names = tuple(matcher for matcher in matchers if matcher.is_long)
        object.__setattr__(self, "long_names", long_names)
        object.__setattr__(self, "takes_outputs", flows)

    @property
    def wrapped(self) -> bool:
        """Whether the rows are counted and judged around the statement, once it has run."""
        outside = any(one.judged not in INSIDE for one in self.requirements)
        return self.guard is not None or outside

    def rules(self, meanings: tuple[Meaning, ...]) -> Iterator[Rule]:
        """Put the statement's own meanings to the matchers, in the order of declaration."""
        own = iter(meanings)
        for one in self.declared:
            yield one if isinstance(one, Rule) else Rule(one, next(own))


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
        case Rows.NONE if any(one.judged is Judged.FOUND for one in shape.requirements):
            return EXACTLY_ONE  # what is required of a row is not met by its absence
        case _:
            return None


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
def answering(shape: Shape, rows: str, model: Any) -> Shape:
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
    return _agreeing(evolve(shape, result=Result(kind, model)))


def _is_checkable(model: object) -> bool:
    """Whether it is a class that can be asked for its instances, as a Protocol need not be."""
    try:
        return isinstance(model, type) and isinstance(object(), model) in (True, False)
    except TypeError:
        return False


def returning(shape: Shape, columns: tuple[str, ...]) -> Shape:
    """Name the columns that a built write returns."""
    named = columns and all(map(is_text, columns))
    if isinstance(shape.source, Text | Select) or not named:
        message = (
            "returning() names at least one column of a built insert, update or delete; a sql() "
            "text has its own RETURNING, a select() its columns"
        )
        raise InvalidBatch(message)
    return _returning(shape, columns)


@lru_cache(maxsize=4096)
def _returning(shape: Shape, columns: tuple[str, ...]) -> Shape:
    return _agreeing(evolve(shape, returned=columns))


@lru_cache(maxsize=4096)
def on_conflict_do_nothing(shape: Shape, conflict: Conflict) -> Shape:
    """Let an insert pass over a row that is there already."""
    if not isinstance(shape.source, Insert):
        message = "on_conflict_do_nothing() is said of insert(); in sql() write ON CONFLICT"
        raise InvalidBatch(message)
    return evolve(shape, source=evolve(shape.source, conflict=conflict))


@lru_cache(maxsize=4096)
def probing(shape: Shape) -> Shape:
    """Look for one row, and no further."""
    return evolve(shape, probes=True)


@lru_cache(maxsize=4096)
def locking(shape: Shape, strength: str) -> Shape:
    """Lock the rows that a select finds."""
    return evolve(shape, source=evolve(cast("Select", shape.source), lock=strength))


@lru_cache(maxsize=4096)
def fresh(shape: Shape) -> Shape:
    """Refuse an isolation in which the steps behind it may see less than was committed by then."""
    return evolve(shape, fresh=True)


@lru_cache(maxsize=4096)
def requiring(shape: Shape, requirement: Requirement) -> Shape:
    """Add what each row has to meet."""
    for name in requirement.found:
        if not is_text(name) or "\0" in name:
            message = f"a column has a name, a str: not {name!r:.40}"
            raise InvalidBatch(message)
    return _agreeing(evolve(shape, requirements=(*shape.requirements, requirement)))


@lru_cache(maxsize=4096, typed=True)
def expecting(shape: Shape, bound: str, rows: int) -> Shape:
    """Guard the number of rows."""
    if type(rows) is not int:
        message = f"expect() takes a number of rows, not {rows!r:.40}"
        raise InvalidBatch(message)
    guard = Guard(Bound(bound), rows)
    if rows < (0 if guard.bound is Bound.EXACTLY else 1):
        message = f"expect({guard}) always holds or never can"
        raise InvalidBatch(message)
    return _agreeing(evolve(shape, expected=guard))


@lru_cache(maxsize=4096)
def mapping(shape: Shape, matcher: Matcher) -> Shape:
    """Map the failures that the matcher accepts."""
    return evolve(shape, declared=(*shape.declared, matcher))


@lru_cache(maxsize=4096)
def internal(shape: Shape, constraints: tuple[str, ...]) -> Shape:
    """Declare constraints whose violation would be our bug."""
    if not constraints:
        message = "internal() names the constraints whose violation would be our bug"
        raise InvalidBatch(message)
    rules = [Rule(constraint(name), INTERNAL) for name in constraints]
    return evolve(shape, declared=(*shape.declared, *rules))


def _agreeing(shape: Shape) -> Shape:
    """Refuse what contradicts the result."""
    guard, rows = shape.expected, shape.result.rows
    if rows is Rows.COUNT and shape.returned is not None:
        message = "count() and returning(...): the rows would be thrown away, drop one"
        raise InvalidBatch(message)
    _check_columns(shape)
    if any(one.judged is Judged.ANY for one in shape.requirements) and (
        guard is not None or rows is not Rows.NONE or len(shape.requirements) > 1
    ):
        message = "forbid() lets no row pass, so there is none to return, to count or to judge"
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
