# SPDX-License-Identifier: MIT
"""``old("c")``: a column of the row as it was when an update had locked it."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from batchq import (
    InvalidBatch,
    delete,
    explain,
    format_error,
    gather,
    insert,
    old,
    param,
    row,
    run,
    select,
    sql,
    steps,
    update,
)
from batchq.conditions import gt
from batchq.engine.abilities import abilities
from batchq.engine.compile.compile import compiled
from batchq.result import attempt
from batchq.types import Old, Updated
from tests.support.plan_modes import EACH_PLAN_MODE

LONG = "c" * 63
TABLES = f"""
CREATE TABLE host (id int PRIMARY KEY, n int NOT NULL, old_n int, "odd ""%name" text, {LONG} int);
CREATE TABLE log (id int, n int);
INSERT INTO host VALUES (1, 0, -1, 'a', 7), (2, 0, NULL, NULL, 7)
"""


class Busy(Exception):
    pass


class Host(NamedTuple):
    n: int
    old_n: int


class Key(NamedTuple):
    id: int


def counted(where, n=1):
    return update("host", {"n": sql("n + %(n)s", n=n)}, where)


def logged(output):
    return insert("log", {"id": 1, "n": output})


@pytest.fixture(autouse=True)
def tables(observer):
    observer.execute(TABLES)


@pytest.fixture(params=EACH_PLAN_MODE)
def conn(request, connect):
    return request.param.set_on(connect())


def test_columns_of_both_rows_come_back_in_any_order(conn):
    both = counted({"id": 1}).returning("n", old("n")).one(Host)
    declared = counted({"id": param("id", int)}).returning(old("n"), "id", "n").one(tuple)
    of_row = counted({"id": row(Key).id}).returning(old("n")).scalar(int)
    for n in range(0, 9, 3):
        assert run(conn, both) == Host(n + 1, n)
        assert run(conn, declared.bind(id=1)) == (n + 1, 1, n + 2)
        result = run(conn, gather(of_row.each([Key(1)]), sql("SELECT 1")))
        assert result == ([n + 2], None)


def test_any_name_is_returned_and_a_column_of_the_resulting_name_is_another(conn):
    statement = update("host", {"n": 5, 'odd "%name': None, LONG: 8}, {"id": 1})
    named = statement.returning(old('odd "%name'), 'odd "%name', old(LONG), LONG)
    assert run(conn, named.one(dict)) == {
        'old_odd "%name': "a",
        'odd "%name': None,
        f"old_{LONG}": 7,
        LONG: 8,
    }
    pair = statement.returning("old_n", old("n"), old("n"), "n", "n")
    assert run(conn, pair.one(tuple)) == (-1, 5, 5, 5, 5)
    # The condition is on the column old_n, and not on n as it was.
    assert run(conn, statement.returning(old("n")).ensure({"old_n": -1}).scalar(int)) == 5


def test_maybe_is_none_without_a_row(conn, observer):
    maybe = counted({"id": param("id", list[int])}).returning(old("n"), "n").maybe(tuple)
    assert run(conn, maybe.bind(id=[1])) == (0, 1)
    assert run(conn, maybe.bind(id=[9])) is None
    failed = attempt(conn, maybe.bind(id=[1, 2]))
    assert "guard saw 2 rows, wanted at most 1 row" in str(failed.error)
    assert observer.execute("SELECT sum(n) FROM host").fetchone() == (1,)


def test_guards_judge_the_row_before_and_after(conn):
    statement = (
        counted({"id": 1}, param("n", int))
        .returning(old("n"))
        .scalar(int)
        .require({"n": [0, 3]}, raises=format_error(Busy, "it is {n}"))
        .ensure({"n": [3, 6]}, raises=format_error(Busy, "it became {n}"))
    )
    assert run(conn, statement.bind(n=3)) == 0
    with pytest.raises(Busy, match="it became 4"):
        run(conn, statement.bind(n=1))
    assert run(conn, statement.bind(n=3)) == 3
    with pytest.raises(Busy, match="it is 6"):
        run(conn, statement.bind(n=3))


def test_row_that_is_left_is_the_one_before(conn, observer):
    to = param("to", int)
    change = update("host", {"n": to}, {"id": param("id", list[int])})
    left = change.unless({"n": to}).returning(old("n"), "n", "id")
    updated, one = left.updated(tuple), left.maybe(tuple)
    assert run(conn, updated.bind(id=[1], to=4)) == Updated((0, 4, 1), changed=True)
    assert run(conn, updated.bind(id=[1], to=4)) == Updated((4, 4, 1), changed=False)
    assert run(conn, one.bind(id=[1], to=4)) == (4, 4, 1)
    assert run(conn, one.bind(id=[9], to=4)) is None
    for n in (4, 0, 5):  # of the two rows the first is left, then the second, then none
        failed = attempt(conn, updated.bind(id=[1, 2], to=n))
        assert "guard saw 2 rows, wanted exactly 1 row" in str(failed.error)
    assert observer.execute("SELECT sum(n) FROM host").fetchone() == (4,)


@pytest.mark.parametrize(
    "finish",
    [
        lambda statement: statement,
        lambda statement: statement.expect(1),
        lambda statement: statement.returning("id").one(Key),
        lambda statement: statement.returning(old("n")).scalar(int),
        lambda statement: statement.change(Key),
        lambda statement: statement.unless({"id": 3}),
        lambda statement: statement.unless({"n": 0}).returning("id").updated(Key),
    ],
    ids="alone expect one scalar change unless left".split(),
)
def test_output_is_the_column_before(conn, observer, finish):
    statement = finish(counted({"id": 1}, 5))
    cast = sql("SELECT %(n)s", n=statement.output(old("n"), "int")).scalar(int)
    batch = gather(statement, logged(statement.output(old("n"))), logged(statement.output("n")))
    _, seen = run(conn, gather(batch, cast))
    after = 0 if "unless" in repr(statement) and "updated" in repr(statement) else 5
    assert (seen, observer.execute("SELECT n FROM log ORDER BY n").fetchall()) == (
        0,
        [(0,), (after,)],
    )


def test_trigger_and_generated_columns_are_seen_as_the_server_has_them(conn, observer):
    observer.execute(
        "ALTER TABLE host ADD twice int GENERATED ALWAYS AS (n * 2) STORED;"
        "CREATE FUNCTION raised() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN NEW.n := NEW.n + 100; RETURN NEW; END$$;"
        "CREATE TRIGGER raised BEFORE UPDATE ON host FOR EACH ROW EXECUTE FUNCTION raised()"
    )
    seen = counted({"id": 1}).returning(old("n"), old("twice"), "n", "twice").one(tuple)
    assert run(conn, seen) == (0, 0, 101, 202)


OTHERS = {
    "PostgreSQL 17": abilities(old=False),
    "CockroachDB": abilities(binary=False, old=False, xmax=False),
}


@pytest.mark.parametrize("able", OTHERS.values(), ids=OTHERS)
def test_text_is_the_same_on_each_server_and_finds_the_row_once(able):
    statement = counted({"id": 1}).returning("id", old("n")).one(tuple)
    text = compiled(statement._shape, (), able).sql
    assert text == steps(statement)[0].sql
    assert text.count("FOR NO KEY UPDATE") == text.count('UPDATE "host"') == 1
    assert 'old("n")' not in explain(statement)


NEW = insert("host", {"id": 3})
JOINED = update("host", {"n": 1}, from_="log", on={"id": "id"})
REFUSED = {
    "insert": (lambda: NEW.returning(old("n")), r"^old\('n'\): only an update\(\)"),
    "upsert": (
        lambda: NEW.on_conflict_do_update("id", set=["id"]).returning(old("n")),
        "insert_or_get",
    ),
    "output of an insert": (lambda: NEW.output(old("n")), r"^old\('n'\): only an update\(\)"),
    "delete": (lambda: delete("host", {"id": 1}).returning(old("n")), "name the column itself"),
    "output of a delete": (lambda: delete("host", {"id": 1}).output(old("n")), "as it was"),
    "output of a select": (
        lambda: select("host", ["n"], where={"id": 1}).one(tuple).output(old("n")),
        "name the column itself",
    ),
    "select": (
        lambda: select("host", [old("n")]),
        r"^select\(columns=\): old\('n'\) is a column that",
    ),
    "sql": (lambda: sql("UPDATE host SET n = 1").returning(old("n")), "in sql.. write RETURNING"),
    "output of sql": (
        lambda: sql("UPDATE host SET n = 1 RETURNING n").one(tuple).output(old("n"), "int"),
        "RETURNING OLD.x AS old_x",
    ),
    "another table": (lambda: JOINED.returning(old("n")), r"^old\('n'\): an update with from_="),
    "output with another table": (lambda: JOINED.output(old("n")), "for_update"),
    "several rows": (lambda: counted({"n": 0}).returning(old("n")).all(tuple), r"^all\(\): old"),
    "several rows, before": (lambda: counted({"n": 0}).all(Key).returning(old("id")), r"^all\(\)"),
    "several rows by output": (lambda: counted({"n": 0}).count().output(old("n")), r"^output\(\)"),
    "both rows": (lambda: counted({"n": 0}).returning(old("n")).change(tuple), r"^change\(\)"),
    "a number of rows": (lambda: counted({"n": 0}).returning(old("n")).count(), r"^count\(\)"),
    "two of one name": (
        lambda: counted({"n": 0}).returning(old("n"), "old_n").one(dict),
        "two columns have the same name",
    ),
    "a model without it": (
        lambda: counted({"n": 0}).returning("id", old("id")).one(Key),
        "Key has no field for old_id",
    ),
    "a value to set": (lambda: update("host", {"n": old("n")}, {"id": 1}), r"^update\(set=\): old"),
    "a value to insert": (lambda: insert("host", {"n": old("n")}), r"^insert\(\): old"),
    "a value compared": (lambda: counted({"n": old("n")}), r"where=\): old"),
    "a value beside": (lambda: counted({"n": gt(old("n"))}), r"^gt\(\): old"),
    "a parameter": (lambda: sql("SELECT %(n)s", n=old("n")), r"^sql\(n=\): old"),
    "a column to set": (lambda: update("host", {old("n"): 1}, {"id": 1}), "a non-empty str"),
    "a column compared": (lambda: counted({old("n"): 1}), "a non-empty str"),
    "a column required": (lambda: counted({"n": 0}).require({old("n"): 1}), "a non-empty str"),
    "a column afterwards": (
        lambda: counted({"n": 0}).ensure({old("n"): 1}),
        r"^ensure\(\): old\('n'\).*write \.require",
    ),
    "a column reported": (
        lambda: counted({"n": 0}).ensure({"n": 1}, columns=[old("n")]),
        "a non-empty str",
    ),
    "an order": (lambda: select("host", order_by=[old("n")]), r"^select\(order_by=\)"),
    "a target": (lambda: NEW.on_conflict_do_nothing(old("id")), r"^on_conflict_do_nothing\(\)"),
    "itself": (lambda: old(old("n")), r"^old\(\): a column must be a non-empty str"),
    "no name": (lambda: old(""), r"^old\(\): a column must be a non-empty str"),
}


@pytest.mark.parametrize(("make", "text"), REFUSED.values(), ids=REFUSED)
def test_where_there_is_no_row_before_it_is_rejected(make, text):
    with pytest.raises(InvalidBatch, match=text):
        make()


def test_column_is_shown_by_its_call():
    assert old("n") == Old("n") != old("m")
    assert (repr(old("n")), old("n").name) == ("old('n')", "old_n")
    assert "old('n')" in repr(counted({"id": 1}).output(old("n")))
