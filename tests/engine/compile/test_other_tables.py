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
from tests.support.lock_waits import race
from tests.support.plan_modes import pairwise_mode

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


# The types of the two keys, one of the first type, and two of the second that equal it.
COARSE = {
    "char and varchar": ("char(3)", "varchar", "a", "a", "a "),
    "float8 and numeric": ("float8", "numeric", "0.1", "0.1", "0.10000000000000000000001"),
    "an hour that is twice": (
        *("timestamptz", "timestamp", "2024-03-31 03:30+02"),
        *("2024-03-31 02:30", "2024-03-31 03:30"),
    ),
    "boxes of one area": ("box", "box", "(1,1),(0,0)", "(1,1),(0,0)", "(2,2),(1,1)"),
    "jsonb": ("jsonb", "jsonb", "[1]", "[1]", "[1.0]"),
    "a record": ("pair", "pair", "(1,2)", "(1,2)", "(1,2)"),
}


@pytest.mark.parametrize("case", COARSE)
def test_keys_that_equal_one_key_and_not_each_other(conn, observer, case):
    own, other, key, first, second = COARSE[case]
    hosts = pairwise_mode([*COARSE].index(case)).set_on(conn)
    hosts.execute("SET TimeZone = 'Europe/Berlin'", prepare=False)
    observer.execute(
        "CREATE TYPE pair AS (a int, b int);"
        f"CREATE TABLE own (id int, k {own}, v int); CREATE TABLE other (k {other}, v int);"
        f"INSERT INTO own VALUES (1, '{key}', 0), (2, NULL, 0);"
        f"INSERT INTO other VALUES ('{first}', 7), (NULL, 8), (NULL, 9)"
    )
    on = {"k": "k"}
    moved = update("own", {"v": source("v")}, from_="other", on=on).returning("id", "v").all(tuple)
    assert run(hosts, moved) == [(1, 7)]
    observer.execute("INSERT INTO other VALUES (%s, 5)", [second])
    for each in (moved, delete("own", using="other", on=on)):
        assert isinstance(attempt(hosts, each).error, GuardFailed)
    assert isinstance(attempt(hosts, delete("own", {"id": 2}, using="other", on=on)), Ok)


def test_key_of_two_columns(hosts, observer):
    observer.execute("UPDATE wanted SET zone = 1, host = 1")
    pairs = {"id": "host", "zone": "zone"}
    moved = update("host", {"name": source("name")}, from_="wanted", on=pairs)
    assert matches_twice(attempt(hosts, moved), {"id": 1, "zone": 1})
    assert run(hosts, update("host", {"gen": 7}, {"id": 2}, from_="wanted", on=pairs).count()) == 0


def changed_while_it_waits(connect, statement):
    """Run a statement that finds the row with 1, while another transaction sets it to 5."""
    with race(connect) as pair:
        return pair.run(update("host", {"gen": 5}, {"id": 1}), statement)


def test_row_that_comes_to_match_twice_while_the_statement_waits(connect, observer):
    observer.execute(TABLES)
    observer.execute("DELETE FROM wanted; INSERT INTO wanted VALUES (1, 0, 'x', 0), (1, 0, 'y', 3)")
    above = {"gen": gt(source("gen"))}
    for statement in (
        delete("host", above, using="wanted", on=ON),
        renamed(above),
        renamed({"id": 1, **above}).require({"zone": 1}),
    ):
        observer.execute("UPDATE host SET gen = 1")
        assert matches_twice(changed_while_it_waits(connect, statement), {"id": 1})
        assert rows(observer)[1] == "a"
    observer.execute("DELETE FROM wanted WHERE gen = 3; UPDATE host SET gen = 1")
    assert changed_while_it_waits(connect, renamed(above).count()) == Ok(1)


def test_limited_select_is_one_select(hosts, observer):
    observer.execute(
        "CREATE SEQUENCE calls; CREATE FUNCTION called() RETURNS bigint VOLATILE "
        "RETURN nextval('calls')"
    )
    rows_of = select(
        "wanted", ["host", "name", sql("called() AS call")], order_by=["name"], limit=2
    )
    moved = update("host", {"name": source("name")}, from_=rows_of, on=ON)
    assert run(hosts, moved.expect(2)) is None
    assert observer.execute("SELECT last_value FROM calls").fetchone() == (2,)
    observer.execute(TWICE)
    again = moved.returning("id", "name").all(tuple)
    assert matches_twice(attempt(hosts, again), {"id": 1})


def test_no_join_takes_quadratic_time(observer):
    observer.execute(
        "CREATE TABLE big (id int, k int, v int); CREATE TABLE other (k int, v int);"
        "INSERT INTO big SELECT n, n % 5000, 0 FROM generate_series(1, 10000) n;"
        "INSERT INTO other SELECT n, n FROM generate_series(0, 9999) n; ANALYZE big; ANALYZE other"
    )
    differs = {"v": ne(source("v"))}
    moved = update("big", {"v": source("v")}, differs, from_="other", on={"k": "k"})
    text = steps(moved)[0].sql.replace("$1", "'x'")
    plan = observer.execute(f"EXPLAIN (FORMAT json) {text}").fetchone()[0]
    nodes: list[dict[str, Any]] = [plan[0]["Plan"]]
    joins = []
    for node in nodes:
        nodes += node.get("Plans", [])
        joins += [node["Node Type"]] if "Join Type" in node else []
    assert len(joins) >= 4
    assert not any("Loop" in kind for kind in joins)
    assert isinstance(attempt(observer, moved), Ok)


def test_text_for_cockroachdb_names_nothing_of_a_catalog():
    """CockroachDB has UPDATE FROM, DELETE USING and subqueries in them, and no ctid."""
    text = steps(delete("host", using="wanted", on=ON))[0].sql
    assert text.startswith('DELETE FROM "host" USING "wanted" AS source WHERE ("host"."id" = sour')
    assert "ctid" not in text
