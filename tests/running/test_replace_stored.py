# SPDX-License-Identifier: MIT
"""``Children.replace``: what a type, a trigger or a policy makes of a set is not kept unseen."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import IntEnum
from typing import Any

import pytest

from batchq import BatchError, insert, param, run, unmet
from batchq.hierarchy import NotReplaced, Parent, Replaced
from batchq.result import attempt
from tests.support.plan_modes import pairwise_mode

TABLES = """
CREATE TABLE vpc (id int PRIMARY KEY, rcgen int NOT NULL DEFAULT 1);
INSERT INTO vpc VALUES (1);
CREATE TABLE rule (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, vpc_id int NOT NULL, kind text, name {type},
    v int{index});
CREATE TABLE of_rule (rule int REFERENCES rule ON DELETE CASCADE);
CREATE FUNCTION lowered() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN NEW.name = lower(NEW.name); RETURN NEW; END$$;
CREATE FUNCTION suppressed() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
"""
VPC = Parent(table="vpc", key="id", deleted_at=None, generation="rcgen")
RULES = VPC.children("rule", by="vpc_id", deleted_at=None)


@pytest.fixture
def table(conn):
    def made(kind: str, index: str = ", UNIQUE (vpc_id, name)") -> Any:
        conn.execute(TABLES.format(type=kind, index=index))
        return conn

    return made


@pytest.fixture
def tenant(conn):
    """Create a role that policies apply to."""
    name = conn.execute("SELECT 'tenant_' || current_schema").fetchone()[0]
    conn.execute(f"CREATE ROLE {name}")
    yield name
    conn.execute(f"RESET ROLE; DROP OWNED BY {name}; DROP ROLE {name}")


class Mapped(Exception):
    pass


def mapped(batch: Any) -> Any:
    """Map whatever makes the set another one."""
    return batch.on(unmet("children"), Mapped)


def whole(names: Iterable[Any], by: tuple[str, ...] = ("name",)) -> Any:
    kind = {"kind": "in"} if "kind" in by else {}
    rows = [{"vpc_id": 1, "name": name, "v": v, **kind} for v, name in enumerate(names)]
    return RULES.replace(1, [insert("rule", row) for row in rows], by=by, missing=LookupError)


def stored(conn) -> list[Any]:
    return conn.execute("SELECT id, name, v, xmin::text FROM rule ORDER BY id").fetchall()


CHANGED = {
    "rounded": ("numeric(4, 1)", ["1.0"], [Decimal("1.04")]),
    "rounded to one": ("numeric(4, 1)", ["1.0"], [Decimal("2.01"), Decimal("2.04")]),
    "padded": ("char(3)", ["a"], ["a", "a "]),
    "one of two": ("char(3)", ["a", "b"], ["b", "a", "a "]),
    "one document of ids": (
        "uuid",
        ["0ba7b810-9dad-11d1-80b4-00c04fd430c8"],
        ["0ba7b810-9dad-11d1-80b4-00c04fd430c8", "0BA7B810-9DAD-11D1-80B4-00C04FD430C8"],
    ),
}


@pytest.mark.parametrize("case", CHANGED)
def test_values_that_are_others_as_stored_are_not_kept(table, case):
    kind, before, names = CHANGED[case]
    conn = pairwise_mode([*CHANGED].index(case)).set_on(table(kind))
    for name in before:
        conn.execute("INSERT INTO rule (vpc_id, name, v) VALUES (1, %s, 7)", [name])
    conn.execute("INSERT INTO of_rule SELECT id FROM rule")
    there = stored(conn)
    error = attempt(conn, whole(names)).error
    assert isinstance(error, NotReplaced)
    assert isinstance(error.__cause__, BatchError)
    assert error.__cause__.path == "whole set"
    assert isinstance(attempt(conn, mapped(whole(names))).error, Mapped)
    assert stored(conn) == there
    assert conn.execute("SELECT count(*) FROM of_rule").fetchone() == (len(before),)


TRIGGERS = {
    "another value": ("BEFORE INSERT", "lowered", ["A"]),
    "two that become one": ("BEFORE INSERT", "lowered", ["A", "a"]),
    "no row": ("BEFORE INSERT", "suppressed", ["a", "b"]),
    "a row that stays": ("BEFORE DELETE", "suppressed", ["b"]),
}


@pytest.mark.parametrize("case", TRIGGERS)
def test_what_a_trigger_does_to_the_set_is_not_kept(table, case):
    event, does, names = TRIGGERS[case]
    index = ", UNIQUE (vpc_id, name), UNIQUE (vpc_id, name, kind)"
    conn = pairwise_mode([*TRIGGERS].index(case)).set_on(table("text", index))
    run(conn, whole(["a"], ("name", "kind")))
    conn.execute(f"CREATE TRIGGER t {event} ON rule FOR EACH ROW EXECUTE FUNCTION {does}()")
    there = stored(conn)
    for keys in (("name",), ("name", "kind")):
        assert isinstance(attempt(conn, whole(names, keys)).error, NotReplaced)
        assert isinstance(attempt(conn, mapped(whole(names, keys))).error, Mapped)
    assert stored(conn) == there


def test_as_many_children_as_inserts_may_be_others(table):
    """One insert is suppressed, and one child is kept: their number is right."""
    conn = table("text")
    run(conn, whole(["a"]))
    for event in ("DELETE", "INSERT"):
        conn.execute(
            f"CREATE TRIGGER {event} BEFORE {event} ON rule FOR EACH ROW "
            "EXECUTE FUNCTION suppressed()"
        )
    assert isinstance(attempt(conn, whole(["b"])).error, NotReplaced)
    assert isinstance(attempt(conn, mapped(whole(["b"]))).error, Mapped)


REDIRECTED = {
    "to a new one": ([("a", 1)], [("a", 2), ("b", 3)]),
    "to one that differs": ([("a", 1), ("b", 1)], [("a", 2), ("b", 3)]),
    "to an equal one": ([("a", 1), ("b", 2)], [("a", 2), ("b", 3)]),
    "from the last": ([("a", 1), ("b", 1)], [("b", 2), ("a", 3)]),
}


@pytest.mark.parametrize("case", REDIRECTED)
def test_key_that_a_trigger_turns_into_that_of_another_insert_is_noticed(table, case):
    """Both children are there in the end, so their number is right."""
    before, given = REDIRECTED[case]
    conn = pairwise_mode([*REDIRECTED].index(case)).set_on(table("text"))
    for name, v in before:
        conn.execute("INSERT INTO rule (vpc_id, name, v) VALUES (1, %s, %s)", [name, v])
    conn.execute(
        "CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN NEW.name = 'b'; RETURN NEW; END$$"
    )
    conn.execute("CREATE TRIGGER t BEFORE INSERT ON rule FOR EACH ROW EXECUTE FUNCTION other()")
    there = stored(conn)
    new = [insert("rule", {"vpc_id": 1, "name": name, "v": v}) for name, v in given]
    batch = RULES.replace(1, new, by="name", missing=LookupError)
    for _ in range(2):  # what was noted ends with the transaction
        with conn.transaction():
            error = attempt(conn, batch, nested=True).error
        assert isinstance(error, NotReplaced)
        assert stored(conn) == there
    assert isinstance(attempt(conn, mapped(batch)).error, Mapped)
    conn.execute("DROP TRIGGER t ON rule")
    assert run(conn, batch).written == 2


def test_declared_set_is_counted_as_a_built_one(table):
    conn, vpc = table("char(3)"), param("vpc", int)

    def declared(*names: str) -> Any:
        new = [insert("rule", {"vpc_id": vpc, "name": name}) for name in names]
        return RULES.replace(vpc, new, by="name", missing=LookupError)

    assert run(conn, declared("a", "b").bind(vpc=1)) == Replaced(2, 0)
    assert isinstance(attempt(conn, declared("a", "a ").bind(vpc=1)).error, NotReplaced)
    assert run(conn, declared("a", "c").bind(vpc=1)) == Replaced(1, 1)


def test_children_that_a_policy_hides_are_an_error(table, tenant):
    conn = table("text")
    run(conn, whole(["a", "hidden"]))
    schema = conn.execute("SELECT current_schema").fetchone()[0]
    conn.execute(
        "ALTER TABLE rule ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY seen ON rule USING (name <> 'hidden');"
        f"GRANT USAGE ON SCHEMA {schema} TO {tenant}; GRANT ALL ON vpc, rule TO {tenant};"
        f"SET ROLE {tenant}"
    )
    error = attempt(conn, whole(["a"])).error
    assert isinstance(error, BatchError)
    assert error.violation is not None
    assert error.violation.sqlstate == "42501"
    assert [name for _, name, *_ in stored(conn)] == ["a"]
    conn.execute("RESET ROLE")
    assert [name for _, name, *_ in stored(conn)] == ["a", "hidden"]
    assert run(conn, whole(["a"])) == Replaced(0, 1)


def test_index_may_be_of_these_children_only(table):
    conn = table("text", "); CREATE UNIQUE INDEX ON rule (vpc_id, name) WHERE (kind = 'in'")
    conn.execute("INSERT INTO rule (vpc_id, kind, name) VALUES (1, 'out', 'a')")
    rules = VPC.children("rule", by="vpc_id", deleted_at=None, where={"kind": "in"})

    def inner(*names: str) -> Any:
        new = [insert("rule", {"vpc_id": 1, "kind": "in", "name": name}) for name in names]
        return rules.replace(1, new, by="name", missing=LookupError)

    made = [run(conn, inner(*names)) for names in ("ab", "ab", "b")]
    assert made == [Replaced(2, 0), Replaced(0, 0), Replaced(0, 1)]
    assert [name for _, name, *_ in stored(conn)] == ["a", "b"]


@pytest.mark.parametrize("kinds", ["in", ["in", "mid"]], ids=str)
def test_row_that_is_not_a_child_of_this_kind_is_not_taken(table, kinds):
    conn = table("text")
    conn.execute("INSERT INTO rule (vpc_id, kind, name, v) VALUES (1, 'out', 'a', 7)")
    there = stored(conn)
    rules = VPC.children("rule", by="vpc_id", deleted_at=None, where={"kind": kinds})
    row = {"vpc_id": 1, "kind": "in", "name": "a", "v": 1}
    batch = rules.replace(1, [insert("rule", row)], by="name", missing=LookupError)
    assert isinstance(attempt(conn, batch).error, NotReplaced)
    assert isinstance(attempt(conn, mapped(batch)).error, Mapped)
    assert stored(conn) == there


def test_constant_that_is_not_in_the_text_distinguishes_children_as_well(table):
    class Level(IntEnum):
        LOW = 1

    conn = table("text")
    rules = VPC.children("rule", by="vpc_id", deleted_at=None, where={"v": Level.LOW})
    new = insert("rule", {"vpc_id": 1, "name": "a", "v": Level.LOW})
    assert run(conn, rules.replace(1, [new], by="name", missing=LookupError)) == Replaced(1, 0)
