# SPDX-License-Identifier: MIT
"""A VPC with every kind of children, and a tree and a backfill without findings."""

from __future__ import annotations

from batchq import sql
from batchq.bulk import Backfill, ChildDelete, DeleteRows, DeleteTree
from batchq.bulk.preflight.findings import FindingCode
from batchq.bulk.preflight.preflight import preflight
from batchq.conditions import lt
from tests.support.vpcs import ROUTER, VPC

TABLES = """
CREATE TABLE vpc (id int PRIMARY KEY, rcgen bigint NOT NULL DEFAULT 0, time_deleted timestamptz);
CREATE TABLE router (
    id int PRIMARY KEY, vpc_id int NOT NULL REFERENCES vpc, rcgen bigint NOT NULL DEFAULT 0,
    time_deleted timestamptz);
CREATE UNIQUE INDEX routers_by_vpc ON router (vpc_id, id);
CREATE TABLE route (
    id int PRIMARY KEY, router_id int NOT NULL REFERENCES router ON DELETE CASCADE,
    CONSTRAINT routes_by_router UNIQUE (router_id, id));
CREATE TABLE rule (
    id int PRIMARY KEY, vpc_id int NOT NULL, kind text NOT NULL,
    row_version int NOT NULL DEFAULT 1);
CREATE UNIQUE INDEX rules_by_vpc ON rule (vpc_id, kind, id);
CREATE TABLE tag (id int PRIMARY KEY, vpc_id int NOT NULL, time_deleted timestamptz);
CREATE UNIQUE INDEX tags_by_vpc ON tag (vpc_id, id) WHERE time_deleted IS NULL;
"""
ROWS = """
INSERT INTO vpc SELECT n FROM generate_series(1, 5) AS n;
INSERT INTO router SELECT n, 1 + n % 4 FROM generate_series(1, 200) AS n;
INSERT INTO route SELECT n, 1 + n % 200 FROM generate_series(1, 20000) AS n;
INSERT INTO rule SELECT n, 1 + n % 4, 'k' || n % 3 FROM generate_series(1, 20000) AS n;
INSERT INTO tag SELECT n, 1 + n % 4 FROM generate_series(1, 20000) AS n;
UPDATE tag SET time_deleted = now() WHERE id % 5 = 0;
ANALYZE;
"""
"""Four VPCs have 50 routers, 5,000 routes, 5,000 rules and 4,000 living tags each; one has none."""

ROUTES = ChildDelete(relation=ROUTER.children("route", by="router_id", deleted_at=None))
ROUTERS = ChildDelete(
    relation=VPC.children("router", by="vpc_id", deleted_at="time_deleted"),
    hard=True,
    children=[ROUTES],
)
RULES = ChildDelete(
    relation=VPC.children("rule", by="vpc_id", deleted_at=None), order=("kind", "id")
)
TAGS = ChildDelete(relation=VPC.children("tag", by="vpc_id", deleted_at="time_deleted"))
TREE = DeleteTree(name="vpc", parent=VPC, children=[ROUTERS, RULES, TAGS])
ROWS_BY_CONDITION = DeleteRows(name="old", table="rule", where={"row_version": lt(2)})
REWRITE = Backfill(name="v2", table="rule", set={"row_version": 2}, where=sql("row_version < 2"))


def change(conn, ddl):
    """Run some commands, each by itself: some want to be in no transaction."""
    for command in filter(str.strip, ddl.split(";")):
        conn.execute(command, prepare=False)


def rejected(conn, work=TREE):
    """Return the errors of the dry run: reason, table and name."""
    found = preflight(conn, work, None if isinstance(work, Backfill) else 1).errors
    return [(one.code, one.table, one.name) for one in found]


def warned(conn, work=TREE):
    """Return its warnings, except that the tables are empty."""
    warnings = preflight(conn, work, 1).warnings
    found = [one for one in warnings if one.code is not FindingCode.NO_PARENT]
    return [(one.code, one.table, one.name) for one in found]
