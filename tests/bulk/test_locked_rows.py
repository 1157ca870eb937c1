# SPDX-License-Identifier: MIT
"""Locked rows: their siblings are deleted, they are deleted later, and none is lost.

Nothing waits for a clock: a chunk waits until the server cancels it, and locks are released when an
observer receives the event that they are held for.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from batchq import sql
from batchq.bulk import (
    Backfill,
    Budget,
    ChildDelete,
    ChunkSize,
    DeleteTree,
    Progress,
    Report,
    StopReason,
)
from batchq.bulk.progress.events import Event
from tests.support.vpcs import ROUTER, VPC, VPC_TABLE, begin, go_on, job_of, one

TABLES = """
CREATE TABLE rule (
    id int PRIMARY KEY, vpc_id int, v int NOT NULL DEFAULT 1, time_deleted timestamptz,
    UNIQUE (vpc_id, id));
CREATE TABLE router (
    id int PRIMARY KEY, vpc_id int NOT NULL, rcgen bigint NOT NULL DEFAULT 0,
    time_deleted timestamptz, UNIQUE (vpc_id, id));
CREATE TABLE route (id int PRIMARY KEY, router_id int NOT NULL, UNIQUE (router_id, id));
INSERT INTO rule SELECT n, 1 FROM generate_series(1, 3000) n;
INSERT INTO rule SELECT n, 2 FROM generate_series(4001, 4010) n;
INSERT INTO router SELECT n, 1 FROM generate_series(1, 30) n;
INSERT INTO route SELECT n, 1 + n % 30 FROM generate_series(1, 600) n;
"""
pytestmark = pytest.mark.tables(VPC_TABLE + TABLES)
RULES = VPC.children("rule", by="vpc_id", deleted_at=None)
SOFT = VPC.children("rule", by="vpc_id", deleted_at="time_deleted")
ROUTES = ChildDelete(relation=ROUTER.children("route", by="router_id", deleted_at=None))
ROUTERS = VPC.children("router", by="vpc_id", deleted_at="time_deleted")
TREES = {
    "deleted": [ChildDelete(relation=RULES)],
    "hidden": [ChildDelete(relation=SOFT)],
    "hidden or not": [ChildDelete(relation=SOFT, hard=True)],
    "orphaned": [ChildDelete(relation=RULES, set={"vpc_id": None})],
    "several columns": [ChildDelete(relation=RULES, order=("v", "id"))],
    "below": [
        ChildDelete(relation=ROUTERS, hard=True, children=[ROUTES]),
        ChildDelete(relation=RULES),
    ],
}
TREE = DeleteTree(name="vpc", parent=VPC, children=TREES["deleted"])
STAMP = Backfill(name="v2", table="rule", set={"v": 2}, where=sql("v < 2"))
TIMEOUT = 0.25
JOB = "phase, restarts, rows_done, last_error"


@pytest.fixture
def lock(connect: Callable[..., Any]) -> Callable[..., Any]:
    """Have another transaction hold rows."""

    @contextmanager
    def locking(table: str, condition: str, strength: str = "UPDATE") -> Iterator[None]:
        with connect() as holder, holder.transaction():
            holder.execute(f"SELECT FROM {table} WHERE {condition} FOR {strength}")
            yield

    return locking


def going_on(conn: Any, work: DeleteTree | Backfill = TREE, **options: Any) -> Report:
    size = ChunkSize(minimum=100, initial=300, maximum=300)
    return go_on(conn, work, **{"timeout": TIMEOUT, "chunk_size": size, **options})


def rules_left(conn: Any) -> int:
    return one(conn, "SELECT count(*) FROM rule WHERE vpc_id = 1 AND time_deleted IS NULL")


# -- one row ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", ["UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE"])
def test_locked_row_delays_none_of_3_000_siblings(conn: Any, lock: Any, strength: str) -> None:
    begin(conn, TREE)
    with lock("rule", "id = 1500", strength):
        report = going_on(conn)
        assert (report.rows, report.stop_reason, report.detail) == (2_999, StopReason.EXHAUSTED, "")
        assert (report.jobs_done, report.jobs_released, report.jobs_unfinished) == (0, 1, 1)
        assert one(conn, "SELECT id FROM rule WHERE vpc_id = 1") == 1500
        phase, stages, done, detail = job_of(conn, JOB)
        assert (phase, stages, done) == ("active", 0, 2_999)
        assert (
            detail == "all rows that are left are locked by other transactions: rule; "
            "the next worker tries again"
        )
        assert one(conn, "SELECT count(*) FROM vpc WHERE id = 1") == 1
    report = going_on(conn)
    assert (report.rows, report.skipped_locked, report.jobs_done) == (1, 0, 1)
    assert job_of(conn, JOB) == ("done", 0, 3_000, None)
    assert one(conn, "SELECT count(*) FROM rule") == 10


def test_row_unlocked_meanwhile_is_deleted_by_the_same_worker(conn: Any, lock: Any) -> None:
    begin(conn, TREE)
    with ExitStack() as held:
        held.enter_context(lock("rule", "id = 1500"))

        def watching(received: Progress | Report) -> None:
            if isinstance(received, Progress) and received.event is Event.CHUNK and received.detail:
                assert received.detail == "rows that other transactions have locked were skipped"
                held.close()

        report = going_on(conn, observers=[watching])
    assert (report.rows, report.skipped_locked, report.jobs_done) == (3_000, 1, 1)
    assert report.rows_after_fence == 0


def test_locked_rows_are_waited_for_once_in_a_scan(conn: Any, lock: Any) -> None:
    """It is canceled once, knows then, and once more when it comes back."""
    begin(conn, TREE)
    with lock("rule", "id % 100 = 0 AND vpc_id = 1"):
        report = going_on(conn)
        assert (report.rows, rules_left(conn)) == (2_970, 30)
        assert report.retries == 2
    assert going_on(conn).jobs_done == 1
    assert job_of(conn, JOB) == ("done", 0, 3_000, None)


def test_row_may_be_locked_for_ever(conn: Any, lock: Any) -> None:
    """Each worker ends, no person is needed, and it does not count as a restart."""
    begin(conn, TREE)
    with lock("rule", "id IN (1, 3000)"):
        for number in range(6):
            report = going_on(conn)
            assert report.jobs_released == 1
            assert report.rows == (0 if number else 2_998)
            assert job_of(conn, "phase, restarts") == ("active", 0)
    assert going_on(conn).jobs_done == 1


def test_budget_that_ends_during_a_scan_loses_no_row(conn: Any, lock: Any) -> None:
    begin(conn, TREE)
    with lock("rule", "id IN (1, 700, 1500, 3000)"):
        for _ in range(16):
            going_on(conn, budget=Budget(chunks=1))
        assert rules_left(conn) == 4
        assert one(conn, "SELECT count(*) FROM vpc WHERE id = 1") == 1
    for _ in range(4):
        going_on(conn, budget=Budget(chunks=1))
    report = going_on(conn)
    assert job_of(conn, "phase, rows_done") == ("done", 3_000), report


def test_slow_chunk_without_locks_is_made_smaller(conn: Any) -> None:
    conn.execute("DELETE FROM rule WHERE id BETWEEN 41 AND 3000")
    conn.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(0.01); RETURN OLD; END $$"
    )
    conn.execute("CREATE TRIGGER slow BEFORE DELETE ON rule FOR EACH ROW EXECUTE FUNCTION slow()")
    begin(conn, TREE)
    report = going_on(conn, chunk_size=ChunkSize(minimum=10, initial=40, maximum=40))
    assert (report.rows, report.skipped_locked, report.jobs_done) == (40, 0, 1)
    assert report.retries >= 1


@pytest.mark.parametrize("seed", range(6))
def test_any_locked_row_is_left_or_counted_whenever_unlocked(
    conn: Any, connect: Callable[..., Any], seed: int
) -> None:
    draw = random.Random(seed)
    conn.execute("DELETE FROM rule WHERE id > 400 AND vpc_id = 1")
    begin(conn, TREE)
    share, most = draw.choice([0.01, 0.1, 0.9]), draw.choice([7, 50, 1_000])
    with connect() as holder:
        for _ in range(4):
            holder.execute("ROLLBACK")
            holder.execute("BEGIN")
            ids = [n for n in range(1, 401) if draw.random() < share]
            strength = draw.choice(["UPDATE", "SHARE", "KEY SHARE"])
            locking = f"SELECT FROM rule WHERE id = ANY(%s) FOR {strength}"
            held = holder.execute(locking, [ids]).rowcount
            size = ChunkSize(minimum=1, initial=most, maximum=most)
            report = going_on(
                conn, chunk_size=size, budget=Budget(chunks=draw.choice([2, 20, 1_000]))
            )
            phase, _, done, _ = job_of(conn, JOB)
            assert done + rules_left(conn) == 400, report
            seen = conn.execute("SELECT FROM rule WHERE id = ANY(%s)", [ids]).rowcount
            assert (seen, report.jobs_stuck) == (held, 0)
            assert phase == "active" or not held
    while job_of(conn, "phase") == "active":
        assert going_on(conn).jobs_stuck == 0
    assert job_of(conn, "phase, rows_done") == ("done", 400)


# -- of every kind ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TREES)
def test_locked_row_is_deleted_by_every_kind_of_delete(conn: Any, lock: Any, kind: str) -> None:
    tree = DeleteTree(name="vpc", parent=VPC, children=TREES[kind])
    begin(conn, tree)
    with lock("rule", "id IN (1, 1500, 3000)"):
        report = going_on(conn, tree)
        assert (report.jobs_done, report.jobs_stuck, report.jobs_released) == (0, 0, 1)
        assert rules_left(conn) == 3
        assert report.rows_by_table["rule"] == 2_997
    report = going_on(conn, tree)
    assert (report.rows, report.jobs_done, rules_left(conn)) == (3, 1, 0)
    assert one(conn, "SELECT count(*) FROM rule WHERE vpc_id = 2") == 10


@pytest.mark.parametrize("table", ["router", "route"])
def test_locked_grandchild_is_deleted_later(conn: Any, lock: Any, table: str) -> None:
    """What is below a router that is locked stays, as does a router of which something stays."""
    tree = DeleteTree(name="vpc", parent=VPC, children=TREES["below"])
    begin(conn, tree)
    with lock(table, "id = 7"):
        report = going_on(conn, tree)
        assert (report.jobs_stuck, report.jobs_released, rules_left(conn)) == (0, 1, 0)
        counts = "SELECT (SELECT count(*) FROM router), (SELECT count(*) FROM route)"
        assert one(conn, counts) == ((1, 20) if table == "router" else (1, 1))
    assert going_on(conn, tree).jobs_done == 1
    assert one(conn, counts) == (0, 0)
    assert job_of(conn, "rows_done") == 3_630


def test_locked_row_that_another_kind_refers_to_makes_no_job_stuck(conn: Any, lock: Any) -> None:
    """A target cannot go while the rule that is locked refers to it."""
    conn.execute("CREATE TABLE target (id int PRIMARY KEY, vpc_id int, UNIQUE (vpc_id, id))")
    conn.execute("INSERT INTO target SELECT n, 1 FROM generate_series(1, 50) n")
    conn.execute("ALTER TABLE rule ADD target int REFERENCES target")
    conn.execute("UPDATE rule SET target = 1 + id % 50 WHERE vpc_id = 1")
    targets = VPC.children("target", by="vpc_id", deleted_at=None)
    tree = DeleteTree(
        name="vpc",
        parent=VPC,
        children=[ChildDelete(relation=RULES), ChildDelete(relation=targets)],
    )
    begin(conn, tree)
    with lock("rule", "id = 10"):
        report = going_on(conn, tree)
        assert (report.jobs_stuck, report.jobs_released, rules_left(conn)) == (0, 1, 1)
        assert job_of(conn, "phase, restarts") == ("active", 0)
    assert going_on(conn, tree).jobs_done == 1


# -- rewrites --------------------------------------------------------------------------------------


def due(conn: Any) -> int:
    return one(conn, "SELECT count(*) FROM rule WHERE v < 2")


def test_backfill_does_not_end_while_a_row_is_locked(conn: Any, lock: Any) -> None:
    begin(conn, STAMP)
    with lock("rule", "id = 1500"):
        report = going_on(conn, STAMP)
        assert (report.rows, report.jobs_done, report.jobs_released) == (3_009, 0, 1)
        assert (due(conn), *job_of(conn, "phase, restarts")) == (1, "active", 0)
    assert going_on(conn, STAMP).jobs_done == 1
    assert (due(conn), job_of(conn, "rows_done")) == (0, 3_010)


def test_backfill_of_a_later_worker_does_not_end_at_a_locked_row(conn: Any, lock: Any) -> None:
    """A scan that has skipped rows has found something, whichever worker asks."""
    begin(conn, STAMP)
    with lock("rule", "id = 1500"):
        for _ in range(40):
            going_on(conn, STAMP, budget=Budget(chunks=1))
            assert job_of(conn, "phase") != "done"
        assert due(conn) == 1
    assert going_on(conn, STAMP).jobs_done == 1
    assert due(conn) == 0


def test_locked_row_that_is_not_due_delays_nothing(conn: Any, lock: Any) -> None:
    conn.execute("UPDATE rule SET v = 2 WHERE id % 2 = 0")
    begin(conn, STAMP)
    with lock("rule", "id % 2 = 0"):
        report = going_on(conn, STAMP)
    assert (report.jobs_done, report.retries, report.rows) == (1, 0, 1_505)
