# SPDX-License-Identifier: MIT
"""Twelve items of a VPC, to be scanned by order keys that a test adds."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from batchq import sql
from batchq.bulk import (
    Backfill,
    ChildDelete,
    DeleteRows,
    DeleteTree,
)
from tests.support.vpcs import VPC, begin, go_on, job_of

ROWS = 12
ITEMS = f"""
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN pair_too AS pair;
CREATE DOMAIN cash AS money;
CREATE DOMAIN cash_too AS cash;
CREATE TYPE kind AS ENUM ('x', 'y', 'z');
CREATE TABLE item (
    id int PRIMARY KEY, vpc_id int NOT NULL DEFAULT 1, v int NOT NULL DEFAULT 1, n int
);
CREATE UNIQUE INDEX ON item (vpc_id, id);
INSERT INTO item (id, n) SELECT n, n FROM generate_series(1, {ROWS}) AS n;
"""
REWRITE = Backfill(name="items", table="item", set={"v": 2}, where=sql("v < 2"))
DELETE = DeleteRows(name="items", table="item", where=sql("v < 2"))
CHILDREN = VPC.children("item", by="vpc_id", deleted_at=None)
TREE = DeleteTree(name="vpc", parent=VPC, children=[ChildDelete(relation=CHILDREN)])


def ordered(work: Any, *order: str) -> Any:
    if not isinstance(work, DeleteTree):
        return attrs.evolve(work, order=order)
    return attrs.evolve(work, children=[ChildDelete(relation=CHILDREN, order=order)])


def due(conn: Any) -> int:
    return int(conn.execute("SELECT count(*) FROM item WHERE v < 2").fetchone()[0])


def assert_refused(conn: Any, work: Any, *words: str) -> None:
    """Assert that the job is stuck at once, with the reason, and no row is changed."""
    left = due(conn)
    begin(conn, work)
    report = go_on(conn, work, 3)
    phase, error, rows = job_of(conn, "phase, last_error, rows_done")
    assert (report.jobs_done, report.jobs_stuck, report.rows) == (0, 1, 0)
    assert (phase, rows, due(conn)) == ("stuck", 0, left)
    for word in words:
        assert word in error


WORKS = pytest.mark.parametrize("work", [REWRITE, DELETE, TREE], ids=["rewrite", "rows", "tree"])
