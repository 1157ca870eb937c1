# SPDX-License-Identifier: MIT
"""Change shapes for the methods of a statement, and reject contradictions.

Each change is cached: the same change of the same shape returns the same object.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from attrs import evolve

from batchq.language.errors import InvalidBatch
from batchq.language.guards import (
    AT_MOST_ONE,
    EXACTLY_ONE,
    Bound,
    Guard,
)
from batchq.language.mapping import INVARIANT, ErrorMapping
from batchq.language.matchers import (
    Matcher,
    constraint,
)
from batchq.language.models import model_of, why_not
from batchq.language.old import Old, Returned
from batchq.language.results import (
    EXACTLY_ONE_ROW,
    WITH_MODEL,
    WITHOUT_ROWS,
    Result,
    Rows,
)
from batchq.language.select_checks import check_select
from batchq.language.shape import Shape, answered
from batchq.language.syntax import (
    CREATED,
    Conflict,
    Insert,
    RawSql,
    Select,
    Source,
)
from batchq.language.update_checks import check_update
from batchq.language.validation import is_checkable, is_text


def with_result(shape: Shape, rows: str, model: Any, null: bool = False) -> Shape:  # noqa: FBT001, FBT002  as below
    """Set the result: ``"one"``, ``"maybe"``, …, and the model of each row.

    :param null: whether the value of a scalar may be NULL.
    """
    try:
        return _with_result(shape, rows, model, null)
    except TypeError as error:
        if not callable(model):
            raise InvalidBatch(
                f"{rows}(): pass a class or a function of the row, not {model!r:.40}"
            ) from None
        raise InvalidBatch(
            f"{rows}(): the model must be hashable, as classes and functions are: {error}"
        ) from error


@lru_cache(maxsize=4096)
def _with_result(shape: Shape, rows: str, model: Any, null: bool) -> Shape:  # noqa: FBT001  a keyword makes the cache slower
    kind = Rows(rows)
    if kind is Rows.SCALAR and not is_checkable(model):
        raise InvalidBatch(f"scalar(): pass the class of the value, such as int, not {model!r:.40}")
    if kind in WITH_MODEL:
        try:
            model_of(model)
        except InvalidBatch as error:
            raise InvalidBatch(f"{rows}(): {error}") from None
    return check_consistent(evolve(shape, result=Result(kind, model, null)))


def with_returning(shape: Shape, columns: tuple[Returned, ...]) -> Shape:
    """Set the columns that a built insert, update or delete returns."""
    has_names = columns and all(is_text(each) or isinstance(each, Old) for each in columns)
    if isinstance(shape.source, RawSql | Select) or not has_names:
        raise InvalidBatch(
            "returning(): name at least one column, of insert(), update() or delete(); in sql() "
            "write RETURNING, in select() pass columns="
        )
    return _with_returning(shape, columns)


@lru_cache(maxsize=4096)
def _with_returning(shape: Shape, columns: tuple[Returned, ...]) -> Shape:
    return check_consistent(evolve(shape, returned=columns))


@lru_cache(maxsize=4096)
def with_conflict(shape: Shape, call: str, conflict: Conflict) -> Shape:
    """Decide what an insert does if the row exists already."""
    source = shape.source
    if not isinstance(source, Insert):
        raise InvalidBatch(f"{call}: only an insert() can conflict; in sql() write ON CONFLICT")
    if source.conflict is not None:
        raise InvalidBatch(f"{call}: the insert has its ON CONFLICT already; drop one of the calls")
    for name in conflict.copied:
        if name not in source.columns:
            raise InvalidBatch(
                f"{call[:-1]}set=): the row has no {name!r:.40}; set it there, or write "
                f"set={{{name!r:.40}: …}}"
            )
    if conflict.updates:
        check_table(call, source)
    return evolve(shape, source=evolve(source, conflict=conflict))


def check_table(call: str, source: Source) -> None:
    """Reject a table that would be confused with the row to insert."""
    if source.table is not None and source.table.rpartition(".")[2] == "excluded":
        raise InvalidBatch(
            f"{call}: the row to insert is named excluded, as this table is; write sql() with "
            f"another name for the table"
        )


@lru_cache(maxsize=4096)
def with_lock(shape: Shape, lock: str, fresh: bool) -> Shape:  # noqa: FBT001  a keyword makes the cache slower
    """Lock the rows of a select."""
    if not isinstance(shape.source, Select):
        raise InvalidBatch("for_update(): only a select() locks rows; in sql() write FOR UPDATE")
    return check_consistent(evolve(shape, source=evolve(shape.source, lock=lock), fresh=fresh))


@lru_cache(maxsize=4096)
def with_mapping(shape: Shape, matcher: Matcher) -> Shape:
    """Map the failures that a matcher accepts."""
    return evolve(shape, declared=(*shape.declared, matcher))


@lru_cache(maxsize=4096)
def with_invariants(shape: Shape, constraints: tuple[str, ...]) -> Shape:
    """Declare constraints whose violation is a bug of the application."""
    if not constraints:
        raise InvalidBatch("invariant(): no constraints; name at least one")
    mappings = [ErrorMapping(constraint(name), INVARIANT) for name in constraints]
    return evolve(shape, declared=(*shape.declared, *mappings))


def check_consistent(shape: Shape) -> Shape:
    """Return the shape, or reject it if its guard or columns contradict its result."""
    guard, rows = shape.expected, shape.result.rows
    if rows is Rows.COUNT and shape.returned is not None:
        raise InvalidBatch(
            "count(): the rows of returning() would be dropped; drop one of the calls"
        )
    check_update(shape)
    _check_columns(shape)
    check_created(shape)
    check_select(shape)
    if shape.carried and shape.conditions:
        raise InvalidBatch(
            "expect(0, …): the error cannot report a row beside require(), refuse() or ensure(); "
            "write the condition into where=, or drop columns= and the names in format_error()"
        )
    if shape.carried and rows is not Rows.NONE:
        raise InvalidBatch(
            "expect(0, columns=…): with a result shape no row is reported; drop one of them"
        )
    if guard is None or rows in WITHOUT_ROWS:
        return shape
    if rows is Rows.MAYBE and guard.bound is Bound.AT_MOST:
        raise InvalidBatch(
            "maybe(): it implies at most 1 row by itself; drop expect()"
            f"{'' if guard == AT_MOST_ONE else ', or use all()'}"
        )
    if rows is Rows.MAYBE:
        raise InvalidBatch(f"maybe(): it allows no row, and expect({guard}) does not; use one()")
    if rows in EXACTLY_ONE_ROW and guard != EXACTLY_ONE:
        raise InvalidBatch(
            f"{rows.value}(): it returns exactly 1 row, and expect() allows {guard}; "
            f"{_instead(rows, guard)}"
        )
    if guard.rows == 0:
        raise InvalidBatch(
            "expect(0): no row is left to return; drop the result shape, or use count()"
        )
    return shape


def _instead(rows: Rows, guard: Guard) -> str:
    """Return what to write instead of a result of one row with a guard on another number."""
    if rows is Rows.CHANGED and guard == AT_MOST_ONE:
        return 'drop expect(), and use .returning("a", old("a")).maybe(…)'
    if rows is Rows.CHANGED:
        return "drop expect(), and change each row by a statement of its own, such as .each()"
    return "drop expect() and use maybe()" if guard == AT_MOST_ONE else "use all()"


def check_created(shape: Shape, *columns: Returned) -> None:
    """Reject the question whether a row has been inserted, where there is no answer.

    :param columns: columns that are used beside those of the shape.
    """
    named = (*columns, *shape.carried, *(shape.returned or ()))
    used = (*named, *(n for c in shape.conditions for n in c.columns))
    if shape.result.rows is not Rows.INSERTED and CREATED not in used:
        return
    source = shape.source
    if not isinstance(source, Insert) or source.conflict is None or not source.conflict.updates:
        call = "inserted()" if shape.result.rows is Rows.INSERTED else CREATED
        hint = "of a row that exists already nothing is returned; use insert_or_get()"
        if not isinstance(source, Insert):
            hint = "only an insert() reports it; in sql() write it into RETURNING"
        elif source.conflict is None:
            hint = "each row is inserted; write .on_conflict_do_update(…) before it"
        raise InvalidBatch(f"{call}: {hint}")
    if CREATED in (shape.returned or ()) and shape.result.rows is Rows.INSERTED:
        raise InvalidBatch("inserted(): it reports this by itself; drop created() from returning()")


def _check_columns(shape: Shape) -> None:
    """Reject a result that the columns, if known, do not fit.

    Without this check it would fail after COMMIT.
    """
    names, result = answered(shape), shape.result
    if names is None:
        return
    if result.rows is Rows.SCALAR and len(names) != 1:
        raise InvalidBatch(
            f"scalar(): it returns one column, and the statement has {len(names)}; name one"
        )
    reason = why_not(result.model, names) if result.rows in WITH_MODEL else None
    if reason is not None:
        raise InvalidBatch(f"{result}: {reason}")
