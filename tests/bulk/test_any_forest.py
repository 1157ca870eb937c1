# SPDX-License-Identifier: MIT
"""Any forest of children, deleted in chunks of any size, by workers that are killed anywhere."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchq import run
from batchq.bulk import Budget, ChildDelete, DeleteTree, Jobs, Report, resume
from batchq.hierarchy import Parent
from tests.support.vpcs import MISSING, ROUTER, VPC, VPC_TABLE, begin, chunks_of

FOREST = """
CREATE TABLE router (id text PRIMARY KEY, vpc_id int NOT NULL, rcgen bigint NOT NULL DEFAULT 1,
    time_deleted timestamptz);
CREATE TABLE route (id int PRIMARY KEY, router_id text NOT NULL, rcgen bigint NOT NULL DEFAULT 1,
    time_deleted timestamptz);
CREATE TABLE hop (route_id int NOT NULL, n int NOT NULL, PRIMARY KEY (route_id, n));
"""
LONG_AGO = "2020-01-01"
ROUTE = Parent(table="route", key="id", deleted_at="time_deleted", generation="rcgen")

hidden = st.booleans().map(lambda is_hidden: LONG_AGO if is_hidden else None)
route = st.tuples(hidden, st.integers(0, 4))
router = st.tuples(st.sampled_from([1, 1, 2]), hidden, st.lists(route, max_size=4))
forests = st.lists(router, max_size=5)
keys = st.permutations(["a", "B", "ä", "Z", "1"])


class Killed(BaseException):
    """As SIGKILL does: nothing is caught, nothing is given back."""


class Forest:
    """VPCs with routers with routes with hops."""

    def __init__(self, conn: Any, hard: list[bool]) -> None:
        self.conn = conn
        below = [
            ChildDelete(
                relation=ROUTE.children("hop", by="route_id", deleted_at=None), order=("n",)
            )
        ]
        routes = ROUTER.children("route", by="router_id", deleted_at="time_deleted")
        below = [ChildDelete(relation=routes, hard=hard[1], children=below)]
        child = ChildDelete(
            relation=VPC.children("router", by="vpc_id", deleted_at="time_deleted"),
            hard=hard[0],
            children=below,
        )
        self.tree = DeleteTree(name="vpc", parent=VPC, children=[child])

    def plant(self, forest: Any, names: list[str]) -> None:
        tables = "vpc, router, route, hop, bulk_job"
        self.conn.execute(f"TRUNCATE {tables}; INSERT INTO vpc VALUES (1), (2)")
        numbers = iter(range(100, 0, -1))
        with self.conn.cursor() as cursor:
            for name, (vpc, is_hidden, routes) in zip(names, forest, strict=False):
                cursor.execute("INSERT INTO router VALUES (%s, %s, 5, %s)", [name, vpc, is_hidden])
                for route_hidden, hops in routes:
                    key = next(numbers)
                    row = [key, name, route_hidden]
                    cursor.execute("INSERT INTO route VALUES (%s, %s, 6, %s)", row)
                    hop = "INSERT INTO hop SELECT %s, n FROM generate_series(1, %s) AS n"
                    cursor.execute(hop, [key, hops])

    def rows(self, vpc: int) -> list[Any]:
        """All rows of a VPC; those whose parents went stand below None."""
        return self.conn.execute(
            "SELECT vpc.id, vpc.rcgen, router.id, router.rcgen, router.time_deleted IS NULL, "
            "route.id, route.rcgen, route.time_deleted IS NULL, hop.n FROM router "
            "FULL JOIN vpc ON vpc.id = vpc_id FULL JOIN route ON router.id = router_id "
            "FULL JOIN hop ON route.id = route_id WHERE vpc.id IS NOT DISTINCT FROM %s "
            "ORDER BY 1, 3, 6, 9",
            [vpc],
        ).fetchall()

    def delete(self, rows: int, chunks: int, kill: int | None) -> Report:
        def throttle() -> None:
            nonlocal kill
            kill = None if kill is None else kill - 1
            if kill == 0:
                raise Killed

        budget = Budget(chunks=chunks)
        options: Any = {"chunk_size": chunks_of(rows), "budget": budget, "throttles": [throttle]}
        try:
            return resume(self.conn, [self.tree], owner="test", **options)
        except Killed:
            self.conn.execute("UPDATE bulk_job SET lease_until = '-infinity'")
            return Report()


def expected(forest: Any, hard: list[bool]) -> int:
    """How many rows of VPC 1 go for good."""
    of_root = [(hidden, routes) for vpc, hidden, routes in forest if vpc == 1]
    routes = [route for _, below in of_root for route in below]
    routers = sum(hard[0] or hidden is None for hidden, _ in of_root)
    return routers + sum((hard[1] or hidden is None) + hops for hidden, hops in routes)


@pytest.fixture
def planted(conn: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    conn.execute(VPC_TABLE + FOREST)
    conn.execute(Jobs().ddl())  # type: ignore[arg-type]
    return conn


@settings(max_examples=30, deadline=None)
@given(
    forest=forests,
    names=keys,
    hard=st.lists(st.booleans(), min_size=2, max_size=2),
    rows=st.sampled_from([1, 2, 7]),
    turns=st.lists(st.tuples(st.sampled_from([1, 2, 5]), st.none() | st.integers(1, 4))),
)
def test_any_forest_is_deleted_completely_and_nothing_else(
    planted: Any, *, forest: Any, names: list[str], hard: list[bool], rows: int, turns: Any
) -> None:
    estate = Forest(planted, hard)
    estate.plant(forest, names)
    neighbour = estate.rows(2)
    begin(planted, estate.tree)
    reports = [estate.delete(rows, chunks, kill) for chunks, kill in turns]
    reports.append(estate.delete(rows, 1_000, None))
    assert sum(report.jobs_done for report in reports) == 1
    assert sum(report.rows_after_fence for report in reports) == 0
    done = planted.execute("SELECT rows_done FROM bulk_job").fetchone()[0]
    assert done == expected(forest, hard)
    assert (estate.rows(1), estate.rows(2)) == ([], neighbour)
    left = estate.rows(None)
    living = [row for row in left if (row[2] and row[4]) or (row[5] and row[7]) or row[8]]
    assert living == []
    estate.plant(forest, names)
    assert run(planted, estate.tree.delete_now(1, missing=MISSING)) == done
    assert (estate.rows(1), estate.rows(2), estate.rows(None)) == ([], neighbour, left)
