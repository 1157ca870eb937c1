# SPDX-License-Identifier: MIT
"""``Children.replace``: a whole set by its difference, under the lock of its parent."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from batchq import BatchError, InvalidBatch, check, gather, insert, run, select, sql, steps, unique
from batchq.hierarchy import Parent, Replaced
from tests.support.lock_waits import race

TABLES = """
CREATE TABLE vpc (id int PRIMARY KEY, rcgen int NOT NULL DEFAULT 1, time_deleted timestamptz);
CREATE TABLE rule (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, vpc_id int NOT NULL, name text NOT NULL,
    priority int CONSTRAINT rule_priority CHECK (priority < 1000),
    tags text[], slot int CONSTRAINT rule_slot UNIQUE, time_deleted timestamptz
);
CREATE UNIQUE INDEX rule_name ON rule (vpc_id, name) WHERE time_deleted IS NULL;
CREATE TABLE zoned (vpc_id int, zone text, name text, UNIQUE (vpc_id, zone, name));
CREATE TABLE plain (vpc_id int, name text, priority int, UNIQUE (vpc_id, name));
INSERT INTO vpc VALUES (1, 1, NULL), (2, 1, NULL), (3, 1, now());
"""
VPC = Parent(table="vpc", key="id", deleted_at="time_deleted", generation="rcgen")
RULES = VPC.children("rule", by="vpc_id", deleted_at="time_deleted")
PLAIN = VPC.children("plain", by="vpc_id", deleted_at=None)


class NotFound(Exception):
    pass


class BadPriority(Exception):
    pass


class SlotTaken(Exception):
    pass


@pytest.fixture
def observer(connect):
    return connect()


@pytest.fixture(autouse=True)
def tables(observer):
    observer.execute(TABLES)


def rule(name: str, priority: int | None = 1, vpc: int = 1, **more: Any) -> Any:
    row = {"vpc_id": vpc, "name": name, "priority": priority, **more}
    return (
        insert("rule", row)
        .on(check("rule_priority"), lambda v: BadPriority(v.values["name"]))
        .on(unique("rule_slot"), SlotTaken)
    )


def plain(name: str, priority: int | None = 1, vpc: int = 1) -> Any:
    return insert("plain", {"vpc_id": vpc, "name": name, "priority": priority})


def replace(new: list[Any], vpc: int = 1, **options: Any) -> Any:
    return RULES.replace(vpc, new, by="name", missing=NotFound, **options)


def stored(observer: Any, vpc: int = 1) -> dict[str, tuple[Any, ...]]:
    rows = observer.execute(
        "SELECT name, priority, xmin::text, id FROM rule "
        "WHERE vpc_id = %s AND time_deleted IS NULL",
        [vpc],
    )
    return {name: tuple(rest) for name, *rest in rows}


def test_only_what_differs_is_written(conn, observer):
    assert run(conn, replace([rule(f"r{n}", n) for n in range(200)])) == Replaced(200, 0)
    before = stored(observer)
    new = [rule(f"r{n}", n) for n in range(199)]
    new[7] = rule("r7", 700)
    batch = replace([*new, rule("new", None)])
    assert run(conn, batch) == Replaced(written=2, removed=1)
    after = stored(observer)
    assert after.keys() == {*before, "new"} - {"r199"}
    assert {name for name in before if before[name] != after.get(name)} == {"r7", "r199"}
    assert after["r7"][::2] == (700, before["r7"][2])
    assert observer.execute("SELECT rcgen FROM vpc WHERE id = 1").fetchone() == (3,)
    assert run(conn, batch) == Replaced(0, 0)


def test_null_is_equal_to_null_alone(conn, observer):
    run(conn, replace([rule("a", None, tags=None), rule("b", 1, tags=["x", None])]))
    same = [rule("a", None, tags=None), rule("b", 1, tags=["x", None])]
    assert run(conn, replace(same)) == Replaced(0, 0)
    assert run(conn, replace([rule("a", 0, tags=None), rule("b", 1, tags=["x"])])) == Replaced(2, 0)
    assert run(conn, replace([rule("a", None), rule("b", 1)])) == Replaced(1, 0)


def test_children_of_other_parents_stay_and_a_removed_one_is_kept_as_deleted(conn, observer):
    run(conn, gather(replace([rule("a")]), replace([rule("a", 5, 2)], 2)))
    assert run(conn, replace([])) == Replaced(0, 1)
    assert stored(observer).keys() == set()
    assert stored(observer, 2)["a"][0] == 5
    rows = observer.execute(
        "SELECT name, time_deleted IS NULL FROM rule WHERE vpc_id = 1"
    ).fetchall()
    assert rows == [("a", False)]


def test_columns_that_are_kept_are_those_of_the_existing_row(conn, observer):
    run(conn, replace([rule("a", 1, slot=7)]))
    assert run(conn, replace([rule("a", 1, slot=8)], keep=["slot"])) == Replaced(0, 0)
    assert run(conn, replace([rule("a", 2, slot=8)], keep=["slot"])) == Replaced(1, 0)
    assert observer.execute("SELECT slot FROM rule").fetchone() == (7,)


def test_children_are_distinguished_by_several_columns(conn, observer):
    zones = VPC.children("zoned", by="vpc_id", deleted_at=None)

    def whole(*names: tuple[str, str]) -> Any:
        new = [insert("zoned", {"vpc_id": 1, "zone": zone, "name": name}) for zone, name in names]
        return zones.replace(1, new, by=["zone", "name"], missing=NotFound)

    assert run(conn, whole(("a", "x"), ("b", "y"))) == Replaced(2, 0)
    assert run(conn, whole(("a", "x"), ("a", "y'\"%s"))) == Replaced(1, 1)
    rows = observer.execute("SELECT zone, name FROM zoned ORDER BY name").fetchall()
    assert rows == [("a", "x"), ("a", "y'\"%s")]


def test_names_of_columns_are_those_of_the_table(conn, observer):
    observer.execute('CREATE TABLE odd (vpc_id int, "a%%b" text, "x%%y""z" int)')
    observer.execute('CREATE UNIQUE INDEX ON odd (vpc_id, "a%%b")')
    odd = VPC.children("odd", by="vpc_id", deleted_at=None)
    for value, written in ((1, 1), (1, 0), (2, 1)):
        child = insert("odd", {"vpc_id": 1, "a%%b": "a", 'x%%y"z': value})
        assert run(conn, odd.replace(1, [child], by="a%%b", missing=NotFound)).written == written


def test_child_with_nothing_but_its_key_is_inserted_once(conn):
    only = [insert("plain", {"vpc_id": 1, "name": name}) for name in ("a", "b")]
    batch = PLAIN.replace(1, only, by="name", missing=NotFound)
    assert [run(conn, batch) for _ in range(2)] == [Replaced(2, 0), Replaced(0, 0)]


def test_bad_child_is_named_and_nothing_is_kept(conn, observer):
    run(conn, replace([rule("old")]))
    new = [rule(f"r{n}").label(f"rule {n}") for n in range(200)]
    new[120] = rule("bad", 1000).label("rule 120")
    with pytest.raises(BadPriority, match="bad") as raised:
        run(conn, replace(new))
    assert isinstance(raised.value.__cause__, BatchError)
    assert (raised.value.__cause__.path, raised.value.__cause__.index) == ("rule 120", 122)
    assert stored(observer).keys() == {"old"}


def test_swap_of_another_unique_column_violates_it_in_passing(conn, observer):
    run(conn, replace([rule("a", 1, slot=1), rule("b", 1, slot=2)]))
    with pytest.raises(SlotTaken):
        run(conn, replace([rule("a", 1, slot=2), rule("b", 1, slot=1)]))
    assert run(conn, replace([rule("b", 1, slot=2)])) == Replaced(0, 1)


@pytest.mark.parametrize("vpc", [3, 9])
def test_deleted_or_missing_parent_is_missing(conn, vpc):
    for new in ([], [rule("a", 1, vpc)]):
        with pytest.raises(NotFound):
            run(conn, replace(new, vpc))


def test_two_replacements_of_one_parent_never_mix(connect, observer):
    with race(connect) as racing:
        for n in range(0, 8, 2):
            first = replace([rule(f"r{n}"), rule("both", n)])
            second = replace([rule(f"r{n + 1}"), rule("both", n + 1)])
            assert racing.run(first, second).value.removed == 1
            assert stored(observer).keys() == {f"r{n + 1}", "both"}
            assert stored(observer)["both"][0] == n + 1


def test_any_set_becomes_any_other(conn, observer):
    random = Random(7)
    for _ in range(30):
        wanted = {f"r{n}": random.choice([None, 1, 2]) for n in range(6) if random.random() < 0.5}
        before = {name: row[0] for name, row in stored(observer).items()}
        made = run(conn, replace([rule(name, value) for name, value in wanted.items()]))
        written = [n for n, v in wanted.items() if n not in before or before[n] != v]
        assert made == Replaced(len(written), len(before.keys() - wanted))
        assert {name: row[0] for name, row in stored(observer).items()} == wanted


REFUSED = {
    "two of one key": (lambda: [rule("a"), rule("a", 2)], "insert 1 has the name of an earlier"),
    "another parent": (lambda: [rule("a", 1, 2)], r"to the key that is passed to replace\(\)"),
    "another table": (lambda: [plain("a")], "not an insert into 'rule'"),
    "no insert": (lambda: [sql("SELECT 1")], "not an insert into 'rule'"),
    "no statement": (lambda: [gather()], "pass a list of inserts"),
    "a result": (lambda: [rule("a").one(tuple)], "drop it"),
    "no key": (lambda: [insert("rule", {"vpc_id": 1})], "no 'name'"),
    "NULL as key": (lambda: [insert("rule", {"vpc_id": 1, "name": None})], "'name' is None"),
    "unhashable": (lambda: [rule(bytearray(b"a"))], "not hashable; pass bytes"),
    "expression": (lambda: [rule(sql("lower('A')"))], "expression"),
    "one insert": (lambda: rule("a"), "pass a list"),
    "a select": (lambda: [insert("rule", select("rule", ["vpc_id", "name"]))], "of a select"),
    "a guard on rows": (lambda: [rule("a").expect(1)], "has a guard"),
    "a guard on a row": (lambda: [rule("a").ensure({"slot": 1})], "has a guard"),
    "an upsert": (lambda: [rule("a").on_conflict_do_nothing()], "drop it"),
    "a deleted child": (lambda: [rule("a", time_deleted=sql("now()"))], "sets 'time_deleted'"),
}
OPTIONS_REFUSED = {
    "kept and not set": ({"keep": ["slit"]}, "no insert sets 'slit'"),
    "kept key": ({"keep": ["name"]}, "found by 'name'"),
    "kept parent": ({"keep": ["vpc_id"]}, "found by 'vpc_id'"),
    "kept twice": ({"keep": ["slot", "slot"]}, "'slot' is there twice"),
    "key twice": ({"by": ["name", "name"]}, "'name' is there twice"),
    "parent in the key": ({"by": ["vpc_id", "name"]}, "leave 'vpc_id' out"),
    "deleted in the key": ({"by": ["name", "time_deleted"]}, "leave 'time_deleted' out"),
    "expression": ({"by": [sql("lower(name)")]}, "not expressions"),
    "no key": ({"by": []}, "unique index"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_a_set_of_children_is_refused(case):
    new, teaches = REFUSED[case]
    with pytest.raises(InvalidBatch, match=teaches):
        steps(replace(new()))


@pytest.mark.parametrize("case", OPTIONS_REFUSED)
def test_columns_that_name_no_set_are_refused(case):
    options, teaches = OPTIONS_REFUSED[case]
    with pytest.raises(InvalidBatch, match=teaches):
        RULES.replace(1, [rule("a", slot=1)], missing=NotFound, **{"by": "name", **options})


def test_child_may_set_the_column_for_soft_deletes_to_none(conn):
    batch = replace([rule("a", time_deleted=None)])
    assert [run(conn, batch) for _ in range(2)] == [Replaced(1, 0), Replaced(0, 0)]
