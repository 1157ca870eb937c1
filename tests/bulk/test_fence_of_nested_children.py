# SPDX-License-Identifier: MIT
"""Parents below the root are fenced too: while one is live, its children are kept."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from batchq import run, sql
from batchq.bulk import Budget, ChildDelete, DeleteTree, FenceBroken, Job
from batchq.hierarchy import Parent
from batchq.result import Failed, Ok, attempt
from tests.support.lock_waits import Race, until_waits
from tests.support.vpcs import ROUTER, VPC, begin, go_on

TABLES = """
CREATE TABLE vpc (id int PRIMARY KEY, rcgen bigint NOT NULL DEFAULT 1, time_deleted timestamptz);
CREATE TABLE router (id int PRIMARY KEY, vpc_id int NOT NULL, rcgen bigint NOT NULL DEFAULT 1,
    time_deleted timestamptz, UNIQUE (vpc_id, id));
CREATE TABLE route (id int PRIMARY KEY, router_id int NOT NULL, rcgen bigint NOT NULL DEFAULT 1,
    time_deleted timestamptz, UNIQUE (router_id, id));
CREATE TABLE hop (id int PRIMARY KEY, route_id int NOT NULL, UNIQUE (route_id, id));
INSERT INTO vpc VALUES (1), (2);
INSERT INTO router (id, vpc_id) VALUES (11, 1), (12, 1), (21, 2);
INSERT INTO route (id, router_id) SELECT 10 * r + n, r FROM (VALUES (11), (12), (21)) AS of (r),
    generate_series(0, 3) AS n;
INSERT INTO hop SELECT 10 * route.id + n, route.id FROM route, generate_series(0, 3) AS n;
"""
pytestmark = pytest.mark.tables(TABLES)
ROUTE = Parent(table="route", key="id", deleted_at="time_deleted", generation="rcgen")
HOPS = ChildDelete(relation=ROUTE.children("hop", by="route_id", deleted_at=None))
ROUTES = ChildDelete(
    relation=ROUTER.children("route", by="router_id", deleted_at="time_deleted"),
    hard=True,
    children=[HOPS],
)
ROUTERS = ChildDelete(
    relation=VPC.children("router", by="vpc_id", deleted_at="time_deleted"),
    hard=True,
    children=[ROUTES],
)
TREE = DeleteTree(name="vpc", parent=VPC, children=[ROUTERS])
HIDE_ROUTERS, HIDE_ROUTES, SWEEP_HOPS, REMOVE_ROUTES, REMOVE_ROUTERS, LAST = range(6)
"""The chunks, each of which takes all there is."""
LEASE = timedelta(minutes=2)
ROOT_RESTORED = "UPDATE vpc SET time_deleted = NULL, rcgen = rcgen + 1 WHERE id = 1"
RESTORED = "UPDATE {} SET time_deleted = NULL, rcgen = rcgen + 1 WHERE id = {}"


@pytest.fixture(autouse=True)
def fenced(conn: psycopg.Connection[Any]) -> None:
    begin(conn, TREE)


def done(conn: psycopg.Connection[Any], chunks: int) -> Job:
    """Take so many chunks, and the job."""
    go_on(conn, TREE, 1_000, budget=Budget(chunks=chunks))
    (job,) = run(conn, TREE.jobs.all("vpc"))
    claimed: Job = run(conn, TREE.jobs.claim(job, "test", LEASE, None))
    return claimed


def rows(conn: psycopg.Connection[Any]) -> list[int]:
    """Living routers, living routes and hops of the first VPC."""
    living = "count(*) FILTER (WHERE time_deleted IS NULL)"
    texts = (
        f"SELECT {living} FROM router WHERE vpc_id = 1",
        f"SELECT {living} FROM route WHERE router_id IN (11, 12)",
        "SELECT count(*) FROM hop WHERE id < 2000",
    )
    return [conn.execute(text).fetchone()[0] for text in texts]  # type: ignore[index, arg-type]


BEFORE = {
    HIDE_ROUTERS: [2, 8, 32],
    HIDE_ROUTES: [0, 8, 32],
    SWEEP_HOPS: [0, 0, 32],
    REMOVE_ROUTES: [0, 0, 0],
}


@pytest.mark.parametrize("chunks", BEFORE)
def test_no_stage_deletes_a_row_of_a_restored_root(
    conn: psycopg.Connection[Any], chunks: int
) -> None:
    """Those that hide rows neither."""
    go_on(conn, TREE, 1_000, budget=Budget(chunks=chunks))
    conn.execute(ROOT_RESTORED)
    report = go_on(conn, TREE, 1_000)
    assert (report.jobs_stuck, report.rows) == (1, 0)
    assert rows(conn) == BEFORE[chunks]


@pytest.mark.parametrize("chunks", BEFORE)
def test_every_stage_waits_for_a_restore_of_the_root(
    conn: psycopg.Connection[Any], racing: Race, chunks: int
) -> None:
    job = done(conn, chunks)
    restoring = sql("UPDATE vpc SET time_deleted = NULL, rcgen = rcgen + 1 WHERE id = 1")
    answer = racing.run(restoring, TREE.chunk(job, 1_000, LEASE))
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, FenceBroken)
    assert rows(conn) == BEFORE[chunks]


@pytest.mark.parametrize(
    ("chunks", "table", "key", "left"),
    [
        (HIDE_ROUTES, "router", 11, [1, 4, 32]),
        (SWEEP_HOPS, "route", 110, [0, 1, 4]),
    ],
)
def test_restored_parent_below_the_root_keeps_its_children_until_hidden(
    conn: psycopg.Connection[Any], chunks: int, table: str, key: int, left: list[int]
) -> None:
    job = done(conn, chunks)
    conn.execute(RESTORED.format(table, key))  # type: ignore[arg-type]
    run(conn, TREE.chunk(job, 1_000, LEASE))
    assert rows(conn) == left
    # The root is fenced still: what was restored is found at the end, and deleted.
    conn.execute("UPDATE bulk_job SET lease_until = NULL")
    report = go_on(conn, TREE, 1_000)
    assert (report.jobs_done, report.rows_after_fence) == (1, 1)
    assert rows(conn) == [0, 0, 0]


@pytest.mark.parametrize("restore", [True, False], ids=["committed", "rolled back"])
def test_chunk_waits_for_a_restore_of_a_parent_below_the_root(
    conn: psycopg.Connection[Any], racing: Race, restore: bool
) -> None:
    job = done(conn, SWEEP_HOPS)
    restoring = sql("UPDATE route SET time_deleted = NULL, rcgen = rcgen + 1 WHERE id = 110")
    answer = racing.run(restoring, TREE.chunk(job, 1_000, LEASE), rollback=not restore)
    assert isinstance(answer, Ok)
    assert rows(conn) == ([0, 1, 4] if restore else [0, 0, 0])


def test_restore_below_the_root_waits_for_a_waiting_chunk(
    conn: psycopg.Connection[Any], connect: Callable[..., psycopg.Connection[Any]]
) -> None:
    job = done(conn, SWEEP_HOPS)
    holder, restorer, worker = connect(), connect(), connect()
    holder.execute("BEGIN")
    holder.execute("SELECT FROM hop WHERE id = 1100 FOR UPDATE")
    with ThreadPoolExecutor(2) as threads:
        try:
            work = threads.submit(attempt, worker, TREE.chunk(job, 1_000, LEASE))
            until_waits(conn, worker.info.backend_pid, work)
            again = threads.submit(restorer.execute, RESTORED.format("route", 110))  # type: ignore[arg-type]
            until_waits(conn, restorer.info.backend_pid, again)
            holder.execute("ROLLBACK")
        finally:
            holder.close()
    assert isinstance(work.result(), Ok)
    assert again.result().rowcount == 1
    assert rows(conn) == [0, 1, 0]


PROTECTED = """
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER keep BEFORE UPDATE ON router FOR EACH ROW WHEN (OLD.id = 11) EXECUTE FUNCTION keep();
"""


def test_router_kept_live_by_a_trigger_keeps_its_routes(
    conn: psycopg.Connection[Any],
) -> None:
    conn.execute(PROTECTED)
    report = go_on(conn, TREE, 1_000)
    assert (report.jobs_stuck, report.jobs_done) == (1, 0)
    assert rows(conn) == [1, 4, 16]
