# SPDX-License-Identifier: MIT
"""Backfills: every due row is updated once, whatever other writers do."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import attrs
import psycopg
import pytest

from batchq import InvalidBatch, gather, insert, run, sql, steps
from batchq.bulk import Backfill, Budget, JobExists, Report
from batchq.conditions import between, like, lt, ne, not_in
from batchq.result import attempt
from tests.support.lock_waits import until_waits
from tests.support.vpcs import begin, go_on, one

TABLES = """
CREATE TABLE rule (id int PRIMARY KEY, v int NOT NULL DEFAULT 2, name text, note text);
INSERT INTO rule (id, name) SELECT n, 'Rule ' || n FROM generate_series(1, 100) AS n;
"""
pytestmark = pytest.mark.tables(TABLES)
STAMP = Backfill(name="rules-v2", table="rule", set={"v": 2}, where=sql("v < 2"))
PASS = 11
"""Chunks of a pass: ten of ten rows, and one that finds the end."""


def make_due(conn: Any, condition: str = "true") -> None:
    conn.execute(f"UPDATE rule SET v = 1 WHERE {condition}")


def begun(conn: Any, backfill: Backfill = STAMP, **options: Any) -> Report:
    begin(conn, backfill)
    return go_on(conn, backfill, **options)


def test_backfill_updates_all_rows_in_one_scan_and_finds_none_in_the_next(conn: Any) -> None:
    make_due(conn)
    report = begun(conn)
    assert (report.rows, report.chunks, report.jobs_done) == (100, 2 * PASS, 1)
    assert one(conn, "SELECT count(*) FROM rule WHERE v = 2") == 100
    job = "SELECT phase, rows_done, scan_rows, restarts, lease_until FROM bulk_job"
    assert one(conn, job) == ("done", 100, 0, 1, None)


def test_backfill_without_due_rows_ends_after_one_scan(conn: Any) -> None:
    report = begun(conn)
    assert (report.rows, report.chunks, report.jobs_done) == (0, PASS, 1)


def test_backfill_updates_no_row_that_is_not_due(conn: Any) -> None:
    make_due(conn, "id % 7 = 0")
    before = conn.execute("SELECT id, xmin, ctid FROM rule WHERE id % 7 <> 0").fetchall()
    assert begun(conn).rows == 14
    assert conn.execute("SELECT id, xmin, ctid FROM rule WHERE id % 7 <> 0").fetchall() == before


def test_backfill_chunk_reads_no_more_rows_than_asked_for(conn: Any) -> None:
    """However few are due, and however large the table: what each node of the plan has read."""
    conn.execute("INSERT INTO rule SELECT n, 2 FROM generate_series(101, 20000) AS n")
    conn.execute("UPDATE rule SET v = 1 WHERE id IN (5000, 15000)")
    conn.execute("VACUUM ANALYZE rule")
    run(conn, STAMP.start())
    (job,) = run(conn, STAMP.jobs.all(STAMP.name))
    for cursor in (None, ["4990"]):
        chunk = STAMP.chunk(attrs.evolve(job, cursor=cursor), 50, timedelta(seconds=9))
        (step,) = steps(chunk)
        explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {step.sql}"
        with conn.transaction(force_rollback=True), psycopg.RawCursor(conn) as raw:
            (plan,) = raw.execute(explain, (*step.parameters, *OF_GUARD)).fetchone()
        read = list(_rows_read(plan[0]["Plan"]))
        assert len(read) > 5
        assert max(read) <= 50
    assert go_on(conn, STAMP, rows=500).chunks == 2 * 41


OF_GUARD = ("",)
"""The parameter that the guard adds."""


def _rows_read(plan: dict[str, Any]) -> Any:
    yield plan["Actual Rows"] * plan["Actual Loops"] + plan.get("Rows Removed by Filter", 0)
    for below in plan.get("Plans", ()):
        yield from _rows_read(below)


@pytest.mark.parametrize("chunks", [1, 3, PASS])
def test_backfill_continues_at_the_cursor(conn: Any, chunks: int) -> None:
    make_due(conn, "id % 3 = 0")
    run(conn, STAMP.start())
    reports = []
    while sum(report.jobs_done for report in reports) == 0:
        reports.append(go_on(conn, STAMP, budget=Budget(chunks=chunks)))
        assert len(reports) < 99
    assert sum(report.rows for report in reports) == 33
    assert sum(report.chunks for report in reports) == 2 * PASS
    assert one(conn, "SELECT rows_done FROM bulk_job") == 33
    assert one(conn, "SELECT count(*) FROM rule WHERE v < 2") == 0


def test_backfill_updates_a_row_due_before_the_cursor_in_the_next_scan(
    conn: Any, at: Any, connect: Callable[..., Any]
) -> None:
    make_due(conn, "id = 50")
    writer = connect()
    late = at(8, lambda: make_due(writer, "id = 3"))
    again = at(PASS + 8, lambda: make_due(writer, "id = 4"))
    report = begun(conn, throttles=[late, again])
    assert (report.rows, report.jobs_done) == (3, 1)
    assert one(conn, "SELECT restarts FROM bulk_job") == 3
    assert one(conn, "SELECT count(*) FROM rule WHERE v < 2") == 0


def test_backfill_is_stuck_if_rows_keep_coming_and_can_be_retried(conn: Any) -> None:
    make_due(conn)
    report = begun(conn, throttles=[lambda: make_due(conn, "id = 3")])
    assert (report.jobs_stuck, report.jobs_done) == (1, 0)
    phase, stages, error = one(conn, "SELECT phase, restarts, last_error FROM bulk_job")
    assert (phase, stages) == ("stuck", 3)
    assert "rule" in error
    assert isinstance(attempt(conn, STAMP.start()).error, JobExists)
    (job,) = run(conn, STAMP.jobs.all(STAMP.name))
    run(conn, STAMP.jobs.retry(job.id))
    assert go_on(conn, STAMP).jobs_done == 1


def test_backfill_can_be_started_again_only_when_done(conn: Any) -> None:
    first = run(conn, STAMP.start())
    twice = attempt(conn, gather(insert("rule", {"id": 999}), STAMP.start()))
    assert isinstance(twice.error, JobExists)
    assert one(conn, "SELECT count(*) FROM rule WHERE id = 999") == 0
    run(conn, attrs.evolve(STAMP, name="another").start())
    assert go_on(conn, STAMP).jobs_done == 1
    assert run(conn, STAMP.start()) != first
    make_due(conn)
    assert go_on(conn, STAMP).rows == 100


@pytest.mark.parametrize(
    ("where", "due"),
    [
        ({"v": 1}, 100),
        ({"v": 1, "id": [3, 5, 700]}, 2),
        ({"v": 1, "note": None}, 100),
        (sql("v < 2 AND id %% %(n)s = 0 -- every so many", n=10), 10),
        (sql("v < 2 AND name LIKE '%7' OR v < 2 AND id = 1"), 11),
        ([{"v": 1}, sql("id <= %(most)s OR id = 50", most=20)], 21),
        (({"v": 1}, {"note": None}, sql("id > 90")), 10),
        ({"v": lt(2), "id": between(3, 12)}, 10),
        ({"v": ne(2), "name": like("%7"), "note": None}, 10),
        ({"v": not_in([2, 3])}, 100),
    ],
)
def test_backfill_where_is_that_of_update(conn: Any, where: Any, due: int) -> None:
    make_due(conn)
    report = begun(conn, attrs.evolve(STAMP, where=where))
    assert (report.rows, report.jobs_done) == (due, 1)
    assert one(conn, "SELECT count(*) FROM rule WHERE v = 2") == due


def test_backfill_set_takes_values_and_fragments(conn: Any) -> None:
    lower = sql("lower(%(p)s || name) -- of the old one", p="100% ")
    sets = {"v": 2, "name": lower, "note": "100%(v)s"}
    make_due(conn, "id <= 15")
    assert begun(conn, attrs.evolve(STAMP, set=sets)).rows == 15
    assert one(conn, "SELECT name, note FROM rule WHERE id = 15") == ("100% rule 15", "100%(v)s")
    assert one(conn, "SELECT name, note FROM rule WHERE id = 16") == ("Rule 16", None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"where": {}}, "Backfill('rules-v2'): update(where=): {} selects every row; if that"),
        ({"where": []}, "Backfill('rules-v2'): update(where=): [] selects every row; if that"),
        (
            {"where": {"v": not_in([])}},
            "Backfill('rules-v2'): update(where=): not_in([]) alone selects every row",
        ),
        ({"where": "true"}, "Backfill('rules-v2'): update(where=): pass a mapping of columns"),
        ({"set": {}}, "Backfill('rules-v2'): update('rule', …): no column to set"),
        ({"set": "name='x'"}, "Backfill('rules-v2'): set=: pass a mapping of columns to values"),
        ({"name": ""}, "Backfill(name=''): its job is found by the name; pass a non-empty str"),
        ({"name": None}, "Backfill(name=None): its job is found by the name"),
        ({"table": ""}, "Backfill('rules-v2'): update(): the table must be a name"),
    ],
    ids=str,
)
def test_invalid_backfill_is_rejected_at_its_construction(arguments: Any, message: str) -> None:
    with pytest.raises(InvalidBatch, match=re.escape(message)):
        attrs.evolve(STAMP, **arguments)


def test_backfill_of_partitions_with_several_order_columns(conn: Any) -> None:
    """Rows that are due here, and rows that are not there, stand in the same places."""
    conn.execute("""
        CREATE TABLE fact (kind text, id int, v int, PRIMARY KEY (kind, id))
            PARTITION BY LIST (kind);
        CREATE TABLE "fact b" PARTITION OF fact FOR VALUES IN ('b');
        CREATE TABLE "fact A" PARTITION OF fact DEFAULT;
        INSERT INTO fact SELECT 'b', n, 1 + n % 2 FROM generate_series(1, 40) AS n;
        INSERT INTO fact SELECT (ARRAY['c', 'Ä', 'a'])[1 + n % 3], n, 2 - n % 2
            FROM generate_series(1, 40) AS n;
        UPDATE fact SET v = 3 WHERE v = 2;
    """)
    facts = attrs.evolve(STAMP, table="fact", order=("kind", "id"))
    before = one(conn, "SELECT array_agg((kind, id) ORDER BY kind, id) FROM fact WHERE v = 1")
    report = begun(conn, facts, rows=7)
    assert (report.rows, report.jobs_done) == (40, 1)
    after = one(conn, "SELECT array_agg((kind, id) ORDER BY kind, id) FROM fact WHERE v = 2")
    assert after == before


@pytest.mark.parametrize(
    "where",
    [sql("id % 2 = 0 AND v < 2"), sql("id %% %(n)s = 0 AND v < 2", n=2), {"v": 1}],
    ids=["no parameter", "a parameter", "a mapping"],
)
def test_backfill_estimates_the_rows_due(conn: Any, where: Any) -> None:
    make_due(conn)
    conn.execute("ANALYZE rule")
    received: list[Any] = []
    begun(conn, attrs.evolve(STAMP, where=where), observers=[received.append])
    assert received[0].expected is not None


MEANWHILE = {
    "changed elsewhere": ("UPDATE rule SET note = 'other' WHERE id = 5", (5, 2, "other")),
    "no longer due": ("UPDATE rule SET v = 7, note = 'other' WHERE id = 5", (5, 7, "other")),
    "ahead": ("UPDATE rule SET id = 500, note = 'other' WHERE id = 5", (500, 2, "other")),
    "after": ("UPDATE rule SET id = -5, note = 'other' WHERE id = 5", (-5, 2, "other")),
    "only locked": ("SELECT FROM rule WHERE id = 5 FOR UPDATE", (5, 2, None)),
    "deleted": ("DELETE FROM rule WHERE id = 5", None),
}


@pytest.mark.parametrize("ends", ["COMMIT", "ROLLBACK"])
@pytest.mark.parametrize("others", [False, True], ids=["alone", "with others"])
@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_backfill_neither_loses_nor_overwrites_a_concurrent_update(
    conn: Any, connect: Callable[..., Any], meanwhile: str, others: bool, ends: str
) -> None:
    command, row = MEANWHILE[meanwhile]
    make_due(conn, "id IN (3, 5, 8, 77)" if others else "id = 5")
    writer, worker = connect(), connect()
    writer.execute(f"BEGIN; {command}")
    with ThreadPoolExecutor(1) as threads:
        options: Any = {"timeout": 60, "lease": timedelta(minutes=2)}
        work = threads.submit(begun, worker, **options)
        try:
            until_waits(conn, worker.info.backend_pid, work)
        finally:
            writer.execute(ends)
    wanted = row if ends == "COMMIT" else (5, 2, None)
    assert work.result().jobs_done == 1
    found = conn.execute("SELECT id, v, note FROM rule WHERE name = 'Rule 5'").fetchone()
    assert found == wanted
    assert one(conn, "SELECT count(*) FROM rule WHERE v < 2") == 0
    stamped = (wanted is not None and wanted[1] == 2) + 3 * others
    assert work.result().rows == stamped == one(conn, "SELECT rows_done FROM bulk_job")
