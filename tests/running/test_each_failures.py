# SPDX-License-Identifier: MIT
"""A failure of one of many rows names the row: its place among the rows, and the row itself."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve, frozen

from batchq import (
    BatchError,
    DecodeFailed,
    GuardFailed,
    InvalidBatch,
    Statement,
    UnmappedViolation,
    gather,
    insert,
    param,
    row,
    sql,
    steps,
    unique,
    update,
)
from batchq.hierarchy import Parent


@frozen
class Item:
    """A row to insert."""

    id: int
    size: Any = 1
    place: int | None = None


class Taken(Exception):
    """The id exists."""


class Small:
    """A model for small items alone."""

    def __init__(self, id: int, size: int) -> None:  # noqa: ARG002  a column of the table
        if size == 99:
            raise ValueError


INSERT = insert("item", Item)
LEAVE = update("item", {"place": None}, where={"id": 77})
CASES: dict[str, tuple[Statement[Any, Item], dict[str, Any], type[BaseException]]] = {
    "a constraint": (INSERT, {"size": -99}, UnmappedViolation),
    "a mapped constraint": (INSERT.on(unique("item_pkey"), Taken), {"id": 77}, Taken),
    "a constraint at COMMIT": (
        INSERT.on(unique("item_place_key"), lambda v: Taken(v.values["place"])),
        {"place": 7},
        Taken,
    ),
    "a guard on the number of rows": (
        update("item", {"place": None}, where={"id": 77, "size": row(Item).size}).expect(1),
        {"size": 99},
        GuardFailed,
    ),
    "a guard on the row": (LEAVE.require({"size": row(Item).size}), {"size": 99}, GuardFailed),
    "a value that cannot be sent": (INSERT, {"size": object()}, InvalidBatch),
    "a result that does not fit": (INSERT.one(Small), {"size": 99}, DecodeFailed),
}
ROWS = [Item(n) for n in range(5)]


def failing(case: str, at: int) -> tuple[Statement[Any, Item], list[Item], type[BaseException]]:
    """Return a statement, rows of which one fails, and the error."""
    statement, changes, error = CASES[case]
    return statement, [*ROWS[:at], evolve(ROWS[at], **changes), *ROWS[at + 1 :]], error


def report_of(error: BaseException) -> BatchError:
    report = error if isinstance(error, BatchError) else error.__cause__
    assert isinstance(report, BatchError)
    return report


@pytest.mark.parametrize("at", [0, 3, 4])
@pytest.mark.parametrize("case", CASES)
def test_failure_names_the_row(connection, case, at):
    connection.execute("INSERT INTO item VALUES (77, 1, 7)")
    statement, rows, kind = failing(case, at)
    batch = gather(sql("SELECT 1"), statement.each(iter(rows)).label("items"), sql("SELECT 2"))
    with pytest.raises(kind) as raised:
        connection.run(batch)
    report = report_of(raised.value)
    assert report.row_index == at
    assert report.bound_row is rows[at]
    assert report.index == 1 + at
    assert report.path == "items"
    assert report.statement is statement
    assert f"row {at})" in str(report)
    assert "Item" not in str(report) + repr(report) + repr(report.step)


def test_row_is_found_within_a_batch_that_is_bound(connection):
    connection.execute("INSERT INTO item VALUES (77, 1, 7)")
    statement, rows, kind = failing("a constraint", 3)
    move = update("item", {"place": param("place", int)}, where={"id": 77})
    declared = gather(INSERT.each([Item(8), Item(9)]), move, statement.each(rows), move)
    with pytest.raises(kind) as raised:
        connection.run(declared.bind(place=8))
    report = report_of(raised.value)
    assert (report.index, report.row_index, report.bound_row) == (6, 3, rows[3])


def test_row_is_found_beside_statements_that_run_once(connection):
    connection.execute("INSERT INTO item VALUES (77, 1, 7)")
    statement, rows, kind = failing("a constraint", 3)
    parent = Parent(table="item", key="id", deleted_at=None, generation="place")
    touch = parent.touch(77, missing=LookupError)
    with pytest.raises(kind) as raised:
        connection.run(gather(touch, touch, statement.each(rows), touch, sql("SELECT 1")))
    report = report_of(raised.value)
    assert (report.index, report.row_index, report.bound_row) == (4, 3, rows[3])


def test_failure_of_another_statement_names_no_row(connection):
    bound = INSERT.bind(Item(1, -1))
    with pytest.raises(UnmappedViolation) as raised:
        connection.run(gather(INSERT.each(ROWS), bound))
    report = raised.value
    assert (report.index, report.row_index, report.bound_row) == (5, None, None)
    assert "row" not in str(report.step)
    with pytest.raises(InvalidBatch) as rejected:
        connection.run(INSERT.each(ROWS), timeout=-1)
    assert (rejected.value.row_index, rejected.value.bound_row) == (None, None)


def test_step_has_the_row():
    one, first, second = steps(gather(sql("SELECT 1"), INSERT.each(ROWS[:2])))
    assert [step.row_index for step in (one, first, second)] == [None, 0, 1]
    assert [step.bound_row for step in (one, first, second)] == [None, *ROWS[:2]]
    assert str(first) == "step 1 (insert item, row 0)"
    with pytest.raises(AttributeError):
        first.row_index = 7  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
