# SPDX-License-Identifier: MIT
"""What the methods of a statement make of its shape, and the contradictions they reject.

Each change is made once and then looked up: the same change of a shape gives the same object.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from attrs import evolve

from batchq.language.errors import InvalidBatch
from batchq.language.guards import EXACTLY_ONE, Bound, Guard, Requirement
from batchq.language.mapping import INVARIANT, ErrorMapping
from batchq.language.matchers import Matcher, constraint
from batchq.language.models import model_of, why_not
from batchq.language.results import WITH_MODEL, WITHOUT_ROWS, Result, Rows
from batchq.language.shape import Shape, answered
from batchq.language.syntax import Conflict, Insert, RawSql, Select
from batchq.language.validation import is_text


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
    if isinstance(shape.source, RawSql | Select) or not named:
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
