# SPDX-License-Identifier: MIT
"""Updates and deletes by another table that wait for a row, which is another one afterwards.

Under READ COMMITTED the server checks the conditions again, with the row as it is now and with the
other table as it was when the statement began. A row that comes to match twice is in
``test_other_tables.py``."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import IsolationLevel

from batchq import (
    SerializationConflict,
    delete,
    format_error,
    gather,
    insert,
    select,
    source,
    sql,
    update,
)
from batchq.conditions import lt, ne
from batchq.result import Ok
from tests.support.lock_waits import race

TABLES = """
CREATE TABLE host (id int PRIMARY KEY, zone int, name text, gen int);
CREATE TABLE wanted (host int, zone int, name text, gen int);
INSERT INTO host VALUES (1, 1, 'a', 3), (2, 1, 'b', 3);
INSERT INTO wanted VALUES (1, 1, 'low', 2), (1, 2, 'high', 5), (2, 1, 'B', 5)
"""
ON = {"id": "host"}


class Missing(Exception):
    pass


class Busy(Exception):
    pass


def renamed(*where: Any, **options: Any):
    return update("host", {"name": source("name")}, list(where), from_="wanted", on=ON, **options)


def deleted(*where: Any):
    return delete("host", list(where), using="wanted", on=ON)


def changed(id_: int, **values: Any):
    return update("host", values, {"id": id_}).expect(1)


@pytest.fixture
def racing(connect, observer):
    observer.execute(TABLES)
    with race(connect) as made:
        yield made


def names(observer) -> list[tuple[Any, ...]]:
    return observer.execute("SELECT id, name FROM host ORDER BY id").fetchall()


@pytest.mark.parametrize("make", [renamed, deleted])
@pytest.mark.parametrize(
    ("held", "rest"),
    [
        (changed(2, zone=9), [("b", True)]),
        (changed(2, gen=9), [("b", True)]),
        (delete("host", {"id": 2}).expect(1), []),
        # It matches no row by its new key, and would by the old one.
        (changed(2, id=7), [("b", True)]),
    ],
    ids=["condition", "condition on both", "deleted", "key"],
)
def test_row_that_no_longer_matches_is_missing(racing, observer, make, held, rest):
    waiting = make({"zone": 1, "gen": lt(source("gen")), "name": "b"}).expect(1, missing=Missing)
    answer = racing.run(held, waiting)
    assert type(answer.error) is Missing
    assert answer.report.violation.rows == 0
    found = observer.execute("SELECT name, true FROM host WHERE name <> 'a'").fetchall()
    assert found == rest


@pytest.mark.parametrize("make", [renamed, deleted])
@pytest.mark.parametrize("required", [3, lt(sql("source.gen - 1"))], ids=["value", "both"])
def test_requirement_is_judged_on_the_row_as_it_is_now(racing, make, required):
    refused = format_error(Busy, "it is {gen}")
    waiting = make({"id": 2}).expect(1).require({"gen": required}, raises=refused)
    answer = racing.run(changed(2, gen=4), waiting)
    assert (type(answer.error), str(answer.error)) == (Busy, "it is 4")
    assert isinstance(racing.run(changed(2, zone=9), make({"id": 2}).expect(1)), Ok)


def test_row_that_matches_one_after_it_has_waited_is_changed_by_it(racing, observer):
    answer = racing.run(changed(1, zone=9), renamed({"id": 1, "gen": lt(source("gen"))}).expect(1))
    assert isinstance(answer, Ok)
    assert names(observer) == [(1, "high"), (2, "b")]


def test_other_table_is_as_it_was_unless_its_rows_are_locked_before(racing, observer):
    other = update("wanted", {"name": "new"}, {"host": 2}).expect(1)
    assert isinstance(racing.run(gather(other, changed(2, zone=3)), renamed({"id": 2})), Ok)
    assert names(observer)[1] == (2, "B")
    newer = update("wanted", {"name": "newer"}, {"host": 2}).expect(1)
    locked = select("wanted", ["host"], where={"host": 2}).for_update()
    held = gather(newer, changed(2, zone=4))
    assert isinstance(racing.run(held, gather(locked, renamed({"id": 2}))), Ok)
    assert names(observer)[1] == (2, "newer")


def test_second_match_that_is_added_meanwhile_is_not_seen(racing, observer):
    added = insert("wanted", {"host": 2, "name": "later"})
    assert isinstance(racing.run(gather(added, changed(2, zone=3)), renamed({"id": 2})), Ok)
    assert names(observer)[1] == (2, "B")


@pytest.mark.parametrize("make", [renamed, deleted])
def test_above_read_committed_it_is_a_conflict(racing, make):
    level = IsolationLevel.REPEATABLE_READ
    answer = racing.run(changed(2, zone=3), make({"id": 2}), isolation=level)
    assert type(answer.error) is SerializationConflict
    other = make({"id": 2, "name": ne("z")}).expect(1)
    assert isinstance(racing.run(changed(2, zone=4), other, isolation=level, rollback=True), Ok)
