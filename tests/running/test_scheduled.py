# SPDX-License-Identifier: MIT
"""Scheduled statements on a server: order, shared results and outputs, and what a failure names."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import frozen

from batchq import BatchError, gather, insert, optional, param, row, select, sql, unique, update

pytestmark = pytest.mark.link(
    "CREATE TABLE org (id int8 PRIMARY KEY, name text, n int8 NOT NULL DEFAULT 0)",
    "CREATE TABLE item (id int8 PRIMARY KEY, org int8, name text)",
    "INSERT INTO org VALUES (1, 'one'), (2, 'two')",
    prepare_threshold=0,
)


@frozen
class Item:
    """A row."""

    id: int
    org: int


LOG = insert("item", Item).on(unique("item_pkey"), lambda v: KeyError(v.values["id"]))
LOCK = select("org", ["name"], where={"id": row(Item).org}).for_update().one(tuple)
ADD = gather(
    update("org", {"n": sql("n + 1")}, {"id": row(Item).org}).label("count").run_last(),
    LOCK.label("lock").run_once(("org", row(Item).org)),
    LOG.label("item"),
).takes(Item)


def test_parts_that_lock_one_row_lock_it_once(linked, link, conn):
    for n in (1, 3):
        batch = gather(ADD.bind(Item(n, 1)), ADD.bind(Item(n + 1, 1)), ADD.bind(Item(n + 10, 2)))
        link.hold(syncs=2)  # answers come when the server has had all of it
        with link.record() as recording:
            made = linked.run(batch)
        assert made == ((None, ("one",), None), (None, ("one",), None), (None, ("two",), None))
        assert recording.flights == 1
    assert conn.execute("SELECT n FROM org ORDER BY id").fetchall() == [(4,), (2,)]


def test_failure_is_named_by_its_place_and_not_by_when_it_ran(linked, conn):
    limited = update("org", {"n": sql("n + 1")}, {"id": param("org", int)})
    batch = gather(
        limited.expect(1, missing=LookupError("no org")).label("limit").run_last().label("last"),
        LOG.bind(Item(1, 1)).run_first().label("first"),
    )
    with pytest.raises(LookupError) as raised:
        linked.run(batch.bind(org=3))
    report = cause(raised.value)
    assert (report.index, report.path) == (1, "last/limit")
    linked.run(batch.bind(org=1))
    with pytest.raises(KeyError) as raised:
        linked.run(batch.bind(org=1))
    report = cause(raised.value)
    assert (report.index, report.path) == (0, "first")
    assert conn.execute("SELECT n FROM org WHERE id = 1").fetchone() == (1,)


def cause(error: BaseException) -> BatchError:
    assert isinstance(error.__cause__, BatchError)
    return error.__cause__


def test_output_of_a_shared_statement_is_sent_on(linked, conn):
    def part(number: int) -> Any:
        lock = select("org", ["name"], where={"id": 2}).for_update().one(tuple)
        made = insert("item", {"id": number, "org": 2, "name": lock.output("name")})
        return gather(lock.run_once("org"), made)

    for n in (1, 3):
        assert linked.run(gather(part(n), part(n + 1))) == ((("two",), None), (("two",), None))
    assert conn.execute("SELECT DISTINCT name FROM item").fetchall() == [("two",)]


def test_optional_part_is_sent_or_not(linked, conn):
    for n, more in ((1, None), (2, LOG.bind(Item(3, 1)))):
        batch = gather(LOG.bind(Item(n, 1)), optional(more), sql("SELECT 7").scalar(int))
        assert linked.run(batch) == (None, None, 7)
    assert conn.execute("SELECT count(*) FROM item").fetchone() == (3,)
