# SPDX-License-Identifier: MIT
"""Findings of the preflight about foreign keys onto deleted rows, and about triggers."""

from __future__ import annotations

import pytest
from attrs import evolve

from batchq.bulk import ChildDelete, Jobs
from batchq.bulk.preflight.findings import FindingCode
from batchq.bulk.preflight.preflight import preflight
from tests.support.bulk_fixtures import (
    ROUTER,
    ROUTERS,
    ROUTES,
    RULES,
    TABLES,
    TAGS,
    TREE,
    VPC,
    change,
    rejected,
    warned,
)

CASCADE, STILL_REFERS, CYCLE = FindingCode.CASCADE, FindingCode.STILL_REFERS, FindingCode.CYCLE
MAY_REFER, TRIGGER = FindingCode.MAY_REFER, FindingCode.TRIGGER
X_OF = "CREATE TABLE x (id int PRIMARY KEY, of int CONSTRAINT x_of REFERENCES "
INDEXED = "; CREATE INDEX x_by_of ON x (of)"


@pytest.fixture(autouse=True)
def tables(conn):
    conn.execute(TABLES, prepare=False)
    conn.execute(Jobs().ddl(), prepare=False)


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "SET DEFAULT"])
@pytest.mark.parametrize("onto", ["rule", "router", "vpc"])
def test_cascade_is_an_error(conn, onto, action):
    change(conn, f"{X_OF}{onto} ON DELETE {action}){INDEXED}")
    assert rejected(conn) == [(CASCADE, "x", "x_of")]
    (one,) = preflight(conn, TREE, 1).errors
    assert f"Parent(table={onto!r}, …).children('x', by='of'" in one.remedy
    assert f"of {'DeleteTree' if onto == 'vpc' else 'the ChildDelete'}" in one.remedy
    assert warned(conn) == []


def test_cascade_that_finds_no_rows_is_accepted(conn):
    change(conn, X_OF + "router ON DELETE CASCADE); CREATE INDEX ON x (of, id)")
    children = ROUTER.children("x", by="of", deleted_at=None)

    def tree(**options):
        routers = evolve(
            ROUTERS, children=[ChildDelete(relation=children), *options.get("children", [ROUTES])]
        )
        return evolve(TREE, children=[routers])

    assert rejected(conn, tree()) == []
    # Without the routes among them, their own cascade would find them.
    assert rejected(conn, tree(children=[])) == [(CASCADE, "route", "route_router_id_fkey")]
    # Only some of the rows go first; or they go by another column.
    some = evolve(children, where={"id": 1})
    partly = evolve(TREE, children=[evolve(ROUTERS, children=[ChildDelete(relation=some), ROUTES])])
    assert rejected(conn, partly) == [(CASCADE, "x", "x_of")]
    change(conn, "ALTER TABLE x ADD also int CONSTRAINT x_also REFERENCES router ON DELETE CASCADE")
    change(conn, "CREATE INDEX ON x (also)")
    assert rejected(conn, tree()) == [(CASCADE, "x", "x_also")]


def test_cascade_is_checked_for_each_kind_of_deleted_rows(conn):
    change(conn, "ALTER TABLE router ADD kind text; CREATE INDEX ON router (vpc_id, kind, id)")
    kinds = [
        evolve(ROUTERS, relation=evolve(ROUTERS.relation, where={"kind": kind})) for kind in "ab"
    ]
    assert rejected(conn, evolve(TREE, children=kinds)) == []
    kinds[1] = evolve(kinds[1], children=[])
    assert rejected(conn, evolve(TREE, children=kinds)) == [
        (CASCADE, "route", "route_router_id_fkey")
    ]


def test_rows_orphaned_before_are_accepted(conn):
    change(
        conn, X_OF + "vpc ON DELETE CASCADE, time_deleted timestamptz); CREATE INDEX ON x (of, id)"
    )
    free = ChildDelete(relation=VPC.children("x", by="of", deleted_at=None), set={"of": None})
    assert rejected(conn, evolve(TREE, children=[free, *TREE.children])) == []
    # Of those that have a tombstone only the living are set free.
    living = ChildDelete(
        relation=VPC.children("x", by="of", deleted_at="time_deleted"), set={"of": None}
    )
    assert rejected(conn, evolve(TREE, children=[living, *TREE.children])) == [
        (CASCADE, "x", "x_of")
    ]


def test_soft_deleted_rows_that_refer_to_deleted_ones_are_an_error(conn):
    change(conn, "ALTER TABLE tag ADD CONSTRAINT tag_of FOREIGN KEY (vpc_id) REFERENCES vpc")
    assert rejected(conn) == [(STILL_REFERS, "tag", "tag_of")]
    assert rejected(conn, evolve(TREE, hard=False)) == []
    change(conn, "CREATE INDEX ON tag (vpc_id, id)")
    assert rejected(conn, evolve(TREE, children=[ROUTERS, evolve(TAGS, hard=True)])) == []


def test_tables_that_refer_to_each_other_are_an_error(conn):
    change(conn, "ALTER TABLE router ADD best int CONSTRAINT router_best REFERENCES route")
    change(conn, "CREATE INDEX ON router (best)")
    assert rejected(conn) == [(CYCLE, "router, route", "router_best, route_router_id_fkey")]
    # Hidden rows are not deleted: their references stay good.
    assert rejected(conn, evolve(TREE, children=[evolve(ROUTERS, hard=False)])) == [
        (STILL_REFERS, "router", "router_vpc_id_fkey")
    ]


def test_table_that_refers_to_itself_is_an_error(conn):
    alter = "ALTER TABLE {} ADD above int CONSTRAINT {}_above REFERENCES {}"
    change(conn, alter.format(*["tag"] * 3) + "; " + alter.format(*["rule"] * 3))
    change(conn, "CREATE INDEX ON rule (above)")
    assert rejected(conn) == [(CYCLE, "rule", "rule_above")]
    change(conn, preflight(conn, TREE, 1).errors[0].remedy)
    assert rejected(conn) == []


def test_undeclared_rows_that_may_refer_are_a_warning(conn):
    change(conn, X_OF + "rule)" + INDEXED)
    assert warned(conn) == [(MAY_REFER, "x", "x_of")]
    assert (
        "Parent(table='rule', …).children('x', by='of'"
        in preflight(conn, TREE, 1).warnings[0].remedy
    )
    assert warned(conn, evolve(TREE, children=[ROUTERS, TAGS])) == []


def test_kinds_that_refer_to_each_other_must_be_in_order(conn):
    change(conn, "ALTER TABLE rule ADD via int CONSTRAINT rule_via REFERENCES router")
    change(conn, "CREATE INDEX ON rule (via)")
    assert warned(conn) == [(MAY_REFER, "rule", "rule_via")]
    assert warned(conn, evolve(TREE, children=[RULES, ROUTERS, TAGS])) == []


@pytest.mark.parametrize(
    ("trigger", "warnings"),
    [
        ("AFTER DELETE ON rule FOR EACH ROW", [(TRIGGER, "rule", "t")]),
        ("BEFORE UPDATE OR DELETE ON router FOR EACH ROW", [(TRIGGER, "router", "t")]),
        ("AFTER DELETE ON rule FOR EACH STATEMENT", []),
        ("AFTER INSERT OR UPDATE ON rule FOR EACH ROW", []),
        ("AFTER DELETE ON tag FOR EACH ROW", []),
        ("AFTER DELETE ON vpc FOR EACH ROW", []),
    ],
)
def test_delete_trigger_for_each_row_is_a_warning(conn, trigger, warnings):
    change(
        conn, f"CREATE TRIGGER t {trigger} EXECUTE FUNCTION suppress_redundant_updates_trigger()"
    )
    assert (rejected(conn), warned(conn)) == ([], warnings)
    if warnings:
        change(conn, f"ALTER TABLE {warnings[0][1]} DISABLE TRIGGER t")
        assert warned(conn) == []
