# SPDX-License-Identifier: MIT
"""``.change(Model)``: the row as it was when it was locked, and as the update has left it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest
from psycopg import IsolationLevel

from batchq import (
    InvalidBatch,
    delete,
    format_error,
    gather,
    insert,
    old,
    param,
    row,
    run,
    sql,
    update,
)
from batchq.result import attempt
from batchq.types import Changed
from tests.support.lock_waits import race, until_waits
from tests.support.plan_modes import EACH_PLAN_MODE

TABLES = """
CREATE TABLE host (id int PRIMARY KEY, n int NOT NULL, "odd ""name" text);
CREATE TABLE log (id int, n int);
INSERT INTO host VALUES (1, 0, 'a'), (2, 0, NULL)
"""
WRITERS = 24


class Missing(Exception):
    pass


class Busy(Exception):
    pass


class Host(NamedTuple):
    n: int


class Key(NamedTuple):
    id: int


def counted(where, n=1):
    return update("host", {"n": sql("n + %(n)s", n=n)}, where)


def both_of(row):
    return Changed(Host(row["old_n"]), Host(row["n"]))


COUNTED = {
    "change": counted({"id": 1}).change(Host),
    "old": counted({"id": 1}).returning("n", old("n")).one(both_of),
    "unless": counted({"id": 1})
    .unless({"n": -1})
    .returning("n", old("n"))
    .updated(both_of)
    .map(lambda updated: updated.row),
}
BOTH_ROWS = pytest.mark.parametrize("both", COUNTED.values(), ids=COUNTED)


@pytest.fixture(autouse=True)
def tables(observer):
    observer.execute(TABLES)


@pytest.fixture(params=EACH_PLAN_MODE)
def conn(request, connect):
    return request.param.set_on(connect())


def test_both_rows_come_back(conn):
    both = counted({"id": 1}).change(Host)
    declared = counted({"id": param("id", int)}).change(Host)
    of_row = counted({"id": row(Key).id}).change(Host)
    for n in range(0, 9, 3):
        assert run(conn, both) == Changed(Host(n), Host(n + 1))
        assert run(conn, declared.bind(id=1)) == Changed(Host(n + 1), Host(n + 2))
        assert run(conn, gather(of_row.each([Key(1)]), sql("SELECT 1"))) == (
            [Changed(Host(n + 2), Host(n + 3))],
            None,
        )


def test_columns_are_those_of_the_model_or_of_returning(conn):
    named = {"id": 1, 'odd "name': "a"}
    statement = update("host", {'odd "name': None}, named).returning("id", 'odd "name')
    assert run(conn, statement.change(dict)) == Changed(named, {**named, 'odd "name': None})
    assert run(conn, counted({"id": 2}).returning("n", "id").change(tuple)) == Changed(
        (0, 2), (1, 2)
    )


def test_key_may_change(conn):
    moved = update("host", {"id": sql("id + 10")}, {"id": 2}).change(Key)
    assert run(conn, moved) == Changed(Key(2), Key(12))


def test_guards_judge_the_row_before_and_after(conn):
    statement = (
        counted({"id": param("id", int)}, param("n", int))
        .change(Host)
        .expect(1, missing=Missing)
        .require({"n": [0, 3]}, raises=format_error(Busy, "it is {n}"))
        .ensure({'odd "name': "a", "n": [3, 6]}, raises=format_error(Busy, "it became {n}"))
    )
    assert run(conn, statement.bind(id=1, n=3)) == Changed(Host(0), Host(3))
    with pytest.raises(Busy, match="it became 4"):
        run(conn, statement.bind(id=1, n=1))
    with pytest.raises(Missing):
        run(conn, statement.bind(id=9, n=3))
    with pytest.raises(Busy, match="it became 3"):
        run(conn, statement.bind(id=2, n=3))
    assert run(conn, statement.bind(id=1, n=3)) == Changed(Host(3), Host(6))
    with pytest.raises(Busy, match="it is 6"):
        run(conn, statement.bind(id=1, n=3))


def test_several_rows_fail(conn, observer):
    failed = attempt(conn, counted(sql("true")).change(Host).ensure({"n": 1}))
    assert "guard saw 2 rows, wanted exactly 1 row" in str(failed.error)
    assert observer.execute("SELECT sum(n) FROM host").fetchone() == (0,)


def test_update_that_a_trigger_suppresses_fails(conn, observer):
    observer.execute(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$"
    )
    observer.execute("CREATE TRIGGER no BEFORE UPDATE ON host FOR EACH ROW EXECUTE FUNCTION no()")
    with pytest.raises(Missing):
        run(conn, counted({"id": 1}).change(Host).expect(1, missing=Missing))


def test_output_is_the_row_after(conn, observer):
    both = counted({"id": 1}).change(Host)
    run(conn, gather(both, insert("log", {"id": 1, "n": both.output("n")})))
    assert observer.execute("SELECT n FROM log").fetchone() == (1,)


def test_change_of_another_statement_is_rejected():
    for other in (insert("host", {"id": 1}), delete("host", {"id": 1}), sql("SELECT 1")):
        with pytest.raises(InvalidBatch, match=r"change\(\): only an update\(\)"):
            other.change(Host)
    with pytest.raises(InvalidBatch, match=r"change\(\): with unless\(\)"):
        counted({"id": 1}).unless({"n": 1}).change(Host)
    with pytest.raises(InvalidBatch, match=r"change\(\): with unless\(\)"):
        counted({"id": 1}).change(Host).unless({"n": 1})
    joined = update("host", {"n": 1}, from_="log", on={"id": "id"})
    with pytest.raises(InvalidBatch, match=r"change\(\): an update with from_="):
        joined.change(Host)
    with pytest.raises(InvalidBatch, match=r"change\(\): it returns exactly 1 row.*\.each\(\)"):
        counted({"id": 1}).change(Host).expect(2)
    with pytest.raises(InvalidBatch, match=r"use \.returning\(.*old\(.*\.maybe\("):
        counted({"id": 1}).change(Host).expect(at_most=1)


@BOTH_ROWS
@pytest.mark.parametrize("isolation", IsolationLevel, ids=lambda level: level.name)
def test_row_that_is_waited_for_is_the_one_before(connect, isolation, both):
    with race(connect) as racing:
        answer = racing.run(counted({"id": 1}, 5), both)
        assert answer.value == Changed(Host(5), Host(6))
        answer = racing.run(counted({"id": 1}, 5), both, isolation=isolation)
        if isolation in (IsolationLevel.READ_UNCOMMITTED, IsolationLevel.READ_COMMITTED):
            assert answer.value == Changed(Host(11), Host(12))
        else:
            assert "SerializationConflict" in type(answer.error).__name__


@BOTH_ROWS
def test_each_of_many_writers_sees_what_the_one_before_has_left(connect, observer, both):
    """All wait for one lock before the first of them has it."""
    holder = connect()
    holder.execute("BEGIN")
    holder.execute("SELECT FROM host WHERE id = 1 FOR UPDATE")
    writers = [connect() for _ in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as threads:
        work = [threads.submit(run, writer, both) for writer in writers]
        for writer, own in zip(writers, work, strict=True):
            until_waits(observer, writer.info.backend_pid, own)
        holder.execute("COMMIT")
        changes = sorted((own.result() for own in work), key=lambda change: change.before)
    assert changes == [Changed(Host(n), Host(n + 1)) for n in range(WRITERS)]
