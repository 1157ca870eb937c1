# SPDX-License-Identifier: MIT
"""Rows with children that are not part of the tree are kept, and found at the end."""

from __future__ import annotations

import psycopg
import pytest

from batchq import run
from batchq.bulk import ChildDelete, DeleteTree
from batchq.bulk.errors import RowsAfterFence
from batchq.result import attempt
from tests.support.vpcs import MISSING, ROUTER, VPC, VPC_TABLE, begin, go_on

TABLES = """
CREATE TABLE router (id int PRIMARY KEY, vpc_id int NOT NULL, rcgen bigint NOT NULL DEFAULT 1,
    time_deleted timestamptz, UNIQUE (vpc_id, id));
CREATE TABLE route (id int PRIMARY KEY, router_id int NOT NULL, kind text, UNIQUE (router_id, id));
INSERT INTO router VALUES (11, 1), (12, 1);
INSERT INTO route VALUES (1, 11, 'static'), (2, 12, 'static'), (3, 12, 'learnt');
"""
pytestmark = pytest.mark.tables(VPC_TABLE + TABLES)
STATIC = ROUTER.children("route", by="router_id", deleted_at=None, where={"kind": "static"})
ROUTERS = ChildDelete(
    relation=VPC.children("router", by="vpc_id", deleted_at="time_deleted"),
    hard=True,
    children=[ChildDelete(relation=STATIC)],
)
TREE = DeleteTree(name="vpc", parent=VPC, children=[ROUTERS])


def ids(conn: psycopg.Connection, table: str) -> list[int]:
    return [one for (one,) in conn.execute(f"SELECT id FROM {table} ORDER BY id")]


def test_job_is_stuck_at_a_row_with_children_outside_the_tree(conn):
    begin(conn, TREE)
    report = go_on(conn, TREE)
    assert (report.jobs_stuck, report.rows) == (1, 3)
    assert (ids(conn, "vpc"), ids(conn, "router"), ids(conn, "route")) == ([1, 2], [12], [3])
    (job,) = run(conn, TREE.jobs.all("vpc"))
    assert "router, 12" in job.last_error


def test_delete_now_fails_at_a_row_with_children_outside_the_tree(conn):
    error = attempt(conn, TREE.delete_now(1, missing=MISSING)).error
    assert isinstance(error, RowsAfterFence)
    assert (error.table, error.key) == ("router", 12)
    assert (ids(conn, "vpc"), ids(conn, "route")) == ([1, 2], [1, 2, 3])
