# SPDX-License-Identifier: MIT
"""Updates and deletes by the rows of another table, on a server."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from batchq import (
    GuardFailed,
    UnmappedViolation,
    check,
    delete,
    format_error,
    gather,
    insert,
    param,
    run,
    select,
    source,
    sql,
    steps,
    unmet,
    update,
)
from batchq.conditions import gt, lt, ne
from batchq.result import Ok, attempt

TABLES = """
CREATE TABLE host (id int PRIMARY KEY, zone int, name text, gen int DEFAULT 1, CHECK (gen < 99));
CREATE TABLE wanted (host bigint, zone int, name varchar(9), gen int);
INSERT INTO host VALUES (1, 1, 'a', 1), (2, 1, 'b', 2), (3, 2, 'c', 3), (4, NULL, 'd', 4);
INSERT INTO wanted VALUES (1, 1, 'A', 2), (2, 1, 'B', 1), (9, 1, 'X', 9), (NULL, 1, 'N', 1);
"""
TWICE = "INSERT INTO wanted VALUES (1, 7, 'A2', 5)"
ON = {"id": "host"}


class Host(NamedTuple):
    id: int
    name: str
    gen: int


class RefusedError(Exception):
    pass


@pytest.fixture
def hosts(planned, observer):
    observer.execute(TABLES)
    return planned


def renamed(where: Any = None, **more: Any):
    values = {"name": source("name"), **more}
    return update("host", values, where, from_="wanted", on=ON)


def rows(conn) -> dict[int, str]:
    return dict(conn.execute("SELECT id, name FROM host", prepare=False).fetchall())


def matches_twice(answer: Any, row: dict[str, object]) -> bool:
    assert isinstance(answer.error, GuardFailed)
    assert "wanted at most 1 match" in str(answer.error)
    assert "matches two rows of the other table" in str(answer.error)
    return answer.report.violation.row == row


def test_rows_are_set_from_the_other_table(hosts):
    assert run(hosts, renamed().count()) == 2
    assert rows(hosts) == {1: "A", 2: "B", 3: "c", 4: "d"}
    bump = sql('"host".gen + source.gen + %(n)s', n=10)
    assert run(hosts, renamed({"id": 1, "gen": lt(source("gen"))}, gen=bump).one(Host)) == (
        (1, "A", 13)
    )
    assert run(hosts, renamed({"name": ne(source("name"))}).count()) == 0
    assert run(hosts, renamed([{"id": [1, 2]}, sql("source.gen > 1")]).all(Host)) == [(1, "A", 13)]


def test_rows_are_deleted_by_the_other_table(hosts):
    deleted = delete("host", {"gen": gt(source("gen"))}, using="wanted", on=ON)
    assert run(hosts, deleted.returning("id", "name").all(tuple)) == [(2, "b")]
    assert run(hosts, delete("host", using="wanted", on=ON).count()) == 1
    assert rows(hosts) == {3: "c", 4: "d"}


def test_select_is_the_other_table(hosts):
    newer = select(
        "wanted", ["host", sql("upper(name) || %(x)s AS n", x="!")], where={"gen": gt(1)}
    )
    named = update("host", {"name": source("n")}, from_=newer, on=ON)
    assert run(hosts, named.count()) == 1
    assert rows(hosts)[1] == "A!"
    declared = select("wanted", ["host"], where={"gen": param("gen", int)})
    deleted = delete("host", {"zone": param("zone", int)}, using=declared, on=ON).count()
    assert run(hosts, deleted.bind(gen=1, zone=2)) == 0
    assert run(hosts, deleted.partial(zone=1).bind(gen=1)) == 1


def test_row_that_matches_twice_fails(hosts, observer):
    observer.execute(TWICE)
    for each in (
        renamed(),
        renamed().count(),
        renamed({"id": 1}).one(Host),
        renamed().expect(at_least=1).require({"gen": lt(50)}),
        delete("host", using="wanted", on=ON),
        update("host", {"gen": 5}, from_=select("wanted", ["host"], where=sql("true")), on=ON),
    ):
        assert matches_twice(attempt(hosts, gather(renamed({"id": 2}), each)), {"id": 1})
    assert rows(hosts)[2] == "b"


def test_second_match_counts_only_if_the_conditions_select_it(hosts, observer):
    observer.execute(TWICE)
    for fine in (
        renamed({"id": [2, 3]}),
        renamed({"zone": source("zone")}),
        renamed(sql('source.zone = "host".zone OR source.zone IS NULL')),
        delete("host", {"id": 2}, using="wanted", on=ON),
        update("host", {"name": source("name")}, from_="wanted", on={"id": "host", "zone": "zone"}),
        update("host", {"gen": 5}, from_=select("wanted", ["host"], where={"zone": 7}), on=ON),
    ):
        assert isinstance(attempt(hosts, fine), Ok)
    both = renamed({"gen": lt(source("gen"))})
    observer.execute("UPDATE host SET gen = 3")
    assert isinstance(attempt(hosts, both), Ok)
    observer.execute("UPDATE host SET gen = 1")
    assert matches_twice(attempt(hosts, both), {"id": 1})


def test_two_rows_of_one_key_are_distinguished_by_conditions(hosts, observer):
    """Each of two rows matches one of two: neither matches twice."""
    observer.execute("INSERT INTO wanted VALUES (50, 5, 'z1', 1), (50, 5, 'z2', 2)")
    observer.execute("INSERT INTO host VALUES (51, 5, 'p', 1), (52, 5, 'q', 2)")
    fifth = select("wanted", ["zone", "name", "gen"], where={"zone": 5})
    same = {"gen": source("gen")}
    named = update("host", {"name": source("name")}, same, from_=fifth, on={"zone": "zone"})
    assert run(hosts, named.count()) == 2
    assert {key: name for key, name in rows(hosts).items() if key > 50} == {51: "z1", 52: "z2"}


def test_conditions_and_violations_are_blamed(hosts):
    newer = (
        renamed({"id": [1, 2]})
        .require({"gen": lt(source("gen"))}, raises=format_error(RefusedError, "{name} is newer"))
        .expect(2)
    )
    answer = attempt(hosts, gather(renamed({"id": 1}), newer))
    assert (str(answer.error), answer.report.index) == ("b is newer", 1)
    assert answer.report.violation.row == {"gen": 2, "name": "b"}
    assert isinstance(attempt(hosts, renamed({"id": 2}).refuse({"name": "b"})).error, GuardFailed)
    assert attempt(hosts, renamed().expect(3)).report.violation.rows == 2
    assert isinstance(attempt(hosts, renamed({"id": 3}).one(Host)).error, GuardFailed)
    after = renamed({"id": 1}).ensure({"name": "B"}, raises=RefusedError)
    assert isinstance(attempt(hosts, after).error, RefusedError)
    full = gather(renamed({"id": 1}), renamed({"id": 2}, gen=99))
    answer = attempt(hosts, full)
    assert isinstance(answer.error, UnmappedViolation)
    assert (answer.report.index, answer.report.violation.constraint) == (1, "host_gen_check")
    mapped = full.on(check("host_gen_check"), RefusedError)
    assert isinstance(attempt(hosts, mapped).error, RefusedError)
    assert rows(hosts)[1] == "a"


def test_second_match_is_not_an_unmet_condition(hosts, observer):
    observer.execute(TWICE)
    answer = attempt(hosts, renamed().on(unmet(), RefusedError))
    assert matches_twice(answer, {"id": 1})


def test_outputs_on_both_sides(hosts):
    moved = update("wanted", {"gen": 7}, where={"host": 1}).expect(1)
    set_ = update(
        "host",
        {"gen": moved.output("gen")},
        from_=select("wanted", ["host"], where={"gen": moved.output("gen")}),
        on=ON,
    ).expect(1)
    log = insert("host", {"id": 20, "gen": set_.output("gen")}).returning("gen").scalar(int)
    assert run(hosts, gather(moved, set_, log))[2] == 7


def test_each_row_of_a_declaration(hosts):
    class Zone(NamedTuple):
        zone: int
        gen: int

    declared = delete("host", {"zone": param("zone", int)}, using="wanted", on=ON)
    declared = declared.require({"gen": param("gen", int)}).expect(at_most=1).count()
    answer = attempt(hosts, declared.takes(Zone).each([Zone(2, 1), Zone(1, 1)]))
    assert answer.report.row_index == 1
    assert rows(hosts) == {1: "a", 2: "b", 3: "c", 4: "d"}


def test_odd_names_partitions_and_views(hosts, observer):
    observer.execute(
        'CREATE TABLE "odd ""t" ("the key" int, "select" int) PARTITION BY LIST ("the key");'
        'CREATE TABLE odd_1 PARTITION OF "odd ""t" FOR VALUES IN (1);'
        'CREATE TABLE odd_2 PARTITION OF "odd ""t" DEFAULT;'
        'INSERT INTO "odd ""t" VALUES (1, 1), (2, 2);'
        "CREATE VIEW shown AS SELECT id, name, zone FROM host WHERE id < 9"
    )
    schema = hosts.execute("SELECT current_schema", prepare=False).fetchone()[0]
    odd = update(
        f'{schema}.odd "t', {"select": source("gen")}, from_="wanted", on={"the key": "host"}
    )
    assert run(hosts, odd.returning("select").all(tuple)) == [(2,), (1,)]
    view = update("shown", {"name": source("select")}, from_='odd "t', on={"id": "the key"})
    assert run(hosts, view.count()) == 2
    observer.execute('INSERT INTO "odd ""t" VALUES (2, 9)')
    assert matches_twice(attempt(hosts, view), {"id": 2})


def test_text_for_cockroachdb_names_nothing_of_a_catalog():
    """CockroachDB has UPDATE FROM, DELETE USING and subqueries in them, and no ctid."""
    text = steps(delete("host", using="wanted", on=ON))[0].sql
    assert text.startswith('DELETE FROM "host" USING "wanted" AS source WHERE ("host"."id" = sour')
    assert "ctid" not in text
