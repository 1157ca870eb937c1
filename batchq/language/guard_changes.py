# SPDX-License-Identifier: MIT
"""Change shapes by guards: on the number of rows, and on each row.

Each change is cached as those in :mod:`batchq.language.shape_changes` are. It is found by the
arguments of the call, which are checked once for each shape.
"""

from __future__ import annotations

from functools import lru_cache

from attrs import evolve

from batchq.language.errors import InvalidBatch
from batchq.language.guards import Bound, Guard, Requirement, When, bound_of
from batchq.language.matchers import MISSING_ROWS, UNEXPECTED_ROWS, Matcher, unmet_requirement
from batchq.language.old import refuse_old_keys
from batchq.language.shape import Shape
from batchq.language.shape_changes import check_consistent, check_table, with_mapping
from batchq.language.syntax import Conditions, Delete, Insert, RawSql, Update, columns_in
from batchq.language.validation import check_column


@lru_cache(maxsize=4096)
def with_condition(  # noqa: PLR0917  keywords make the cache slower
    shape: Shape,
    when: When,
    test: Conditions,
    reported: tuple[str, ...],
    refuses: bool,  # noqa: FBT001  a keyword makes the cache slower
    is_mapped: bool,  # noqa: FBT001
) -> tuple[Shape, Matcher]:
    """Add a condition on each row; return the matcher of its failure as well.

    :param reported: columns of the row to report, in addition to those of the test.
    :param is_mapped: whether its failure is mapped.
    """
    columns = tuple(dict.fromkeys((*columns_in(test), *reported)))
    requirement = Requirement(when, test, columns, refuses)
    call = f"{requirement.call}()"
    if when is When.CONFLICT:
        check_table("insert_or_get(same=)", shape.source)
    elif when is When.BEFORE and isinstance(shape.source, RawSql | Insert):
        raise InvalidBatch(
            f"{call}: an insert or a sql() text has no where= to select rows; check the rows "
            'that it returns with .ensure({"column": …})'
        )
    elif when is When.AFTER:
        refuse_old_keys(call, columns_in(test))
    for name in columns_in(test):
        check_column(call, name)
    changed = check_consistent(evolve(shape, conditions=(*shape.conditions, requirement)))
    unmet = unmet_requirement(len(shape.conditions), requirement)
    return (with_mapping(changed, unmet) if is_mapped else changed), unmet


@lru_cache(maxsize=4096, typed=True)
def with_row_count(  # noqa: PLR0917  as above
    shape: Shape,
    exactly: int | None,
    at_least: int | None,
    at_most: int | None,
    carried: tuple[str, ...],
    few: bool,  # noqa: FBT001
    many: bool,  # noqa: FBT001
) -> Shape:
    """Guard the number of rows, which is one of three.

    :param carried: the columns of the unexpected row that the error reports.
    :param few: whether too few rows are mapped.
    :param many: whether too many rows are mapped.
    """
    bound, rows = bound_of(exactly, at_least, at_most)
    if few and (bound is Bound.AT_MOST or rows == 0):
        raise InvalidBatch("expect(missing=…): any number of rows is enough here; use unexpected=")
    if many and bound is Bound.AT_LEAST:
        raise InvalidBatch(
            "expect(at_least=…, unexpected=…): no number is too large here; use missing="
        )
    if carried and (bound is not Bound.EXACTLY or rows != 0):
        raise InvalidBatch(
            "expect(columns=…): only expect(0) reports a row; drop columns= and the names in "
            "format_error()"
        )
    if carried and isinstance(shape.source, Insert | Update | Delete):
        raise InvalidBatch(
            "expect(columns=…): only a select() or a sql() carries columns of an unexpected row; "
            "drop columns= and the names in format_error()"
        )
    if type(rows) is not int:
        raise not_a_number(rows)
    guard = Guard(bound, rows)
    if rows < (0 if guard.bound is Bound.EXACTLY else 1):
        raise InvalidBatch(
            f"expect({guard}): no number of rows can fail it, or none can pass; drop it"
        )
    counted = _counted(shape, guard, carried)
    counted = with_mapping(counted, MISSING_ROWS) if few else counted
    return with_mapping(counted, UNEXPECTED_ROWS) if many else counted


def not_a_number(rows: object) -> InvalidBatch:
    """Return the error for a number of rows that is not an int."""
    return InvalidBatch(f"expect(): the number of rows must be an int, not {rows!r:.40}")


@lru_cache(maxsize=4096)
def _counted(shape: Shape, guard: Guard, carried: tuple[str, ...]) -> Shape:
    return check_consistent(evolve(shape, expected=guard, carried=carried))
