# SPDX-License-Identifier: MIT
"""An error can be pickled whatever the batch holds: a pool of processes passes on its outcome."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from attrs import frozen
from psycopg.adapt import Dumper

from batchq import Outcome, gather, insert, sql, unique, update
from batchq.result import attempt


@frozen
class Item:
    """A row."""

    id: int
    name: object


class Sealed:
    """A value that cannot be pickled."""

    def __reduce__(self) -> Any:
        raise TypeError("sealed")


class SealedDumper(Dumper):
    def dump(self, obj: Any) -> bytes:
        del obj
        return b"sealed"


def meaning(violation):
    return LookupError(violation.values["id"])


ITEM = insert("item", Item).on(unique("item_pkey"), lambda v: LookupError(v.values["id"]))
WRONG_MODEL = ITEM.returning("name").scalar(int)
FAILING = {
    "a whole batch, after COMMIT": gather(WRONG_MODEL, sql("SELECT 1")).bind(Item(2, "x")),
    "a row, after COMMIT": WRONG_MODEL.each([Item(2, "x")]),
    "a row that is mapped": ITEM.each([Item(2, "x"), Item(1, "y")]),
    "a whole batch that is mapped": gather(ITEM).label("items").bind(Item(1, "y")),
    "a statement that is built": insert("item", {"id": 1}).on(unique("item_pkey"), meaning),
    "a guard of a row": update("item", {"name": "x"}, {"id": 1}).require({"name": "y"}),
    "a value that cannot be pickled": gather(ITEM).bind(Item(1, Sealed())),
}


@pytest.mark.parametrize("case", FAILING)
def test_error_is_the_same_after_it_was_pickled(conn, case):
    conn.execute("CREATE TABLE item (id int PRIMARY KEY, name text); INSERT INTO item VALUES (1)")
    conn.adapters.register_dumper(Sealed, SealedDumper)
    report = attempt(conn, FAILING[case]).report
    read = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(report))))
    shown = ("index", "path", "sql", "row_index", "bound_row", "outcome", "context", "attempts")
    assert [getattr(read, name) for name in shown] == [getattr(report, name) for name in shown]
    assert (type(read), str(read), str(read.step)) == (type(report), str(report), str(report.step))
    assert read.statement.title == report.statement.title
    assert (read.step.guard, read.step.mappings) == (report.step.guard, report.step.mappings)
    if "cannot be pickled" not in case:
        assert read.parameters == report.parameters
        assert read.violation == report.violation
    else:
        assert read.parameters == (1, "<a Sealed, which cannot be pickled>")
        assert read.violation.values == {"id": 1, "name": "<a Sealed, which cannot be pickled>"}


def test_error_before_anything_is_sent_is_pickled_with_its_step(conn):
    report = attempt_invalid(conn)
    read = pickle.loads(pickle.dumps(report))
    assert (type(read), str(read), read.outcome) == (type(report), str(report), Outcome.NOT_SENT)


def attempt_invalid(conn):
    with pytest.raises(ValueError, match="is not bound") as raised:
        attempt(conn, ITEM)
    return raised.value
