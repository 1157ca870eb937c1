# SPDX-License-Identifier: MIT
"""Rows of one table are deleted by a condition, each once, whatever other writers do."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from batchq import InvalidBatch, gather, insert, run, sql
from batchq.bulk import Budget, DeleteRows, JobExists, Report, preflight
from batchq.bulk.preflight.findings import FindingCode
from batchq.conditions import between, ge, lt, ne
from batchq.result import attempt
from tests.support.lock_waits import until_waits
from tests.support.vpcs import begin, go_on, job_of, one

TABLES = """
CREATE TABLE event (id int PRIMARY KEY, at timestamptz NOT NULL, v int NOT NULL DEFAULT 1);
INSERT INTO event SELECT n, timestamptz '2024-01-01Z' + n * interval '1 day', 2 - n % 2
    FROM generate_series(1, 100) AS n;
CREATE UNIQUE INDEX events_by_time ON event (at, id);
"""
pytestmark = pytest.mark.tables(TABLES)
OLD = DeleteRows(name="old-events", table="event", where={"v": 1})
DAY_50 = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=50)
SCAN = 11
"""Chunks of a scan: ten of ten rows, and one that finds the end."""


def begun(conn: Any, task: DeleteRows = OLD, **options: Any) -> Report:
    begin(conn, task)
    return go_on(conn, task, **options)


def test_rows_that_are_due_are_deleted_in_one_scan_and_no_others_are_touched(conn: Any) -> None:
    kept = conn.execute("SELECT id, xmin, ctid FROM event WHERE v = 2").fetchall()
    report = begun(conn)
    assert (report.rows, report.chunks, report.jobs_done) == (50, SCAN, 1)
    assert conn.execute("SELECT id, xmin, ctid FROM event").fetchall() == kept
    job = "phase, rows_done, scan_rows, restarts, lease_until"
    assert job_of(conn, job) == ("done", 50, 50, 0, None)


@pytest.mark.parametrize(
    ("where", "due"),
    [
        ({"v": [1, 3], "id": ne(5)}, 49),
        (sql("v < 2 AND id %% %(n)s = 0 OR id = 1 -- every so many", n=5), 11),
        ([{"at": lt(DAY_50)}, sql("v = 1 OR id = 3")], 25),
        (lambda start: {"at": lt(start - timedelta(days=30))}, 100),
        (lambda start: [{"at": ge(start)}, {"v": 1}], 0),
    ],
)
@pytest.mark.parametrize("order", ["id", ("at", "id")])
def test_where_is_that_of_delete_or_a_function_of_the_start(
    conn: Any, where: Any, due: int, order: Any
) -> None:
    report = begun(conn, attrs.evolve(OLD, where=where, order=order))
    assert (report.rows, report.jobs_done) == (due, 1)
    assert one(conn, "SELECT count(*) FROM event") == 100 - due


def test_chunks_read_only_the_range_that_the_order_begins_with(conn: Any) -> None:
    for where, rows in (
        ({"at": lt(DAY_50)}, 49),
        ([{"at": between(DAY_50, DAY_50 + timedelta(days=9))}, {"v": 1}], 5),
    ):
        report = begun(conn, attrs.evolve(OLD, where=where, order=("at", "id")))
        assert report.rows == rows
        assert report.chunks <= rows // 10 + 2


def test_row_that_becomes_due_later_waits_for_the_next_job(
    conn: Any, at: Any, connect: Callable[..., Any]
) -> None:
    """Ahead of the scan as well, if the condition is one of the time at which the job started."""
    old = attrs.evolve(OLD, where=lambda start: {"at": lt(start)})
    writer, update = connect(), "UPDATE event SET v = 1 WHERE id = 2"
    new = at(3, lambda: writer.execute("INSERT INTO event VALUES (99999, clock_timestamp())"))
    assert begun(conn, old, throttles=[new]).rows == 100
    assert conn.execute("SELECT id FROM event").fetchall() == [(99999,)]
    assert (begun(conn, old).rows, one(conn, "SELECT count(*) FROM event")) == (1, 0)

    conn.execute("INSERT INTO event SELECT n, now(), 2 FROM generate_series(1, 100) AS n")
    passed = at(3, lambda: writer.execute(update))
    report = begun(conn, throttles=[passed])
    assert (report.rows, report.jobs_done) == (0, 1)
    assert begun(conn).rows == 1


def test_function_gets_the_servers_time_of_the_start_in_utc(conn: Any) -> None:
    received: list[datetime] = []

    def where(start: datetime) -> Any:
        received.append(start)
        return {"id": 1}

    conn.execute("SET TimeZone = 'Asia/Kolkata'")
    conn.execute("ALTER TABLE bulk_job ALTER created_at SET DEFAULT '2024-05-06 07:08:09Z'")
    begun(conn, attrs.evolve(OLD, where=where))
    assert received[-1] == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert {one.tzinfo for one in received} == {UTC}


MEANWHILE = {
    "no longer due": ("UPDATE event SET v = 2 WHERE id = 5", True),
    "changed elsewhere": ("UPDATE event SET at = now() WHERE id = 5", False),
    "only locked": ("SELECT FROM event WHERE id = 5 FOR UPDATE", False),
    "deleted": ("DELETE FROM event WHERE id = 5", False),
}


@pytest.mark.parametrize("ends", ["COMMIT", "ROLLBACK"])
@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_condition_is_judged_again_under_the_lock(
    conn: Any, connect: Callable[..., Any], meanwhile: str, ends: str
) -> None:
    command, stays = MEANWHILE[meanwhile]
    writer, worker = connect(), connect()
    writer.execute(f"BEGIN; {command}")
    with ThreadPoolExecutor(1) as threads:
        options: Any = {"timeout": 60, "lease": timedelta(minutes=2)}
        work = threads.submit(begun, worker, **options)
        try:
            until_waits(conn, worker.info.backend_pid, work)
        finally:
            writer.execute(ends)
    assert work.result().jobs_done == 1
    assert one(conn, "SELECT count(*) FROM event WHERE v = 1") == 0
    left = one(conn, "SELECT count(*) FROM event WHERE id = 5")
    assert left == (stays and ends == "COMMIT")
    assert one(conn, "SELECT count(*) FROM event") == 50 + left


@pytest.mark.parametrize("chunks", [1, 3])
def test_workers_take_turns_and_count_each_row_once(
    conn: Any, connect: Callable[..., Any], chunks: int
) -> None:
    run(conn, OLD.start())
    workers, reports = [conn, connect()], list[Report]()
    while sum(report.jobs_done for report in reports) == 0:
        worker = workers[len(reports) % 2]
        reports.append(go_on(worker, OLD, budget=Budget(chunks=chunks)))
        assert len(reports) < 99
    assert sum(report.rows for report in reports) == job_of(conn, "rows_done") == 50
    assert sum(report.chunks for report in reports) == SCAN


def test_locked_row_is_passed_over_and_left_to_the_next_worker(
    conn: Any, connect: Callable[..., Any]
) -> None:
    begin(conn, OLD)
    with connect() as holder, holder.transaction():
        holder.execute("SELECT FROM event WHERE id = 5 FOR UPDATE")
        report = go_on(conn, OLD, timeout=0.2)
        assert (report.rows, report.jobs_done, report.jobs_released) == (49, 0, 1)
        assert report.skipped_locked > 0
        assert "locked by other transactions: event" in job_of(conn, "last_error")
    assert go_on(conn, OLD).jobs_done == 1
    assert (one(conn, "SELECT count(*) FROM event"), job_of(conn, "rows_done")) == (50, 50)


def test_job_is_started_again_only_when_the_last_one_has_ended(conn: Any) -> None:
    run(conn, OLD.start())
    twice = attempt(conn, gather(insert("event", {"id": 999, "at": DAY_50}), OLD.start()))
    assert isinstance(twice.error, JobExists)
    assert go_on(conn, OLD).jobs_done == 1
    run(conn, OLD.start())
    assert one(conn, "SELECT count(*) FROM event WHERE id = 999") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"where": {}}, "DeleteRows('old-events'): delete(where=): {} selects every row; if that"),
        ({"where": "true"}, "DeleteRows('old-events'): delete(where=): pass a mapping of columns"),
        ({"where": lambda _: []}, "DeleteRows('old-events'): where=: the function returned []"),
        ({"where": lambda _: None}, "DeleteRows('old-events'): where=: the function returned None"),
        ({"where": lambda _: 1 / 0}, "where=: the function raised ZeroDivisionError"),
        ({"where": {"id": [1, 2.5]}}, "DeleteRows('old-events'): a list cannot be sent: cannot"),
        ({"name": ""}, "DeleteRows(name=''): its job is found by the name; pass a non-empty str"),
        ({"table": ""}, "DeleteRows('old-events'): delete(): the table must be a name"),
        ({"order": ()}, "order=(): a chunk starts after the last row of the chunk before"),
        ({"order": ("id", "id")}, "order=: 'id' is there twice; name it once"),
    ],
)
def test_invalid_declaration_is_rejected_at_its_construction(arguments: Any, message: str) -> None:
    with pytest.raises(InvalidBatch, match=re.escape(message)):
        attrs.evolve(OLD, **arguments)


PARTS = {
    "partitions": """
        CREATE TABLE fact (kind text, id int, v int, PRIMARY KEY (kind, id))
            PARTITION BY LIST (kind);
        CREATE TABLE "fact b" PARTITION OF fact FOR VALUES IN ('b');
        CREATE TABLE "fact A" PARTITION OF fact DEFAULT;""",
    "an inheriting table": """
        CREATE TABLE fact (kind text, id int, v int, PRIMARY KEY (kind, id));
        CREATE TABLE heir (PRIMARY KEY (kind, id)) INHERITS (fact);
        CREATE FUNCTION place() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO heir VALUES (NEW.*); RETURN NULL; END $$;
        CREATE TRIGGER place BEFORE INSERT ON fact FOR EACH ROW WHEN (NEW.kind = 'b')
            EXECUTE FUNCTION place();""",
}


@pytest.mark.parametrize("parts", PARTS)
def test_rows_of_all_parts_of_a_table_are_deleted(conn: Any, parts: str) -> None:
    """Rows that are due here, and rows that are not there, stand in the same places."""
    conn.execute(PARTS[parts])
    conn.execute("""
        INSERT INTO fact SELECT 'b', n, 1 + n % 2 FROM generate_series(1, 40) AS n;
        INSERT INTO fact SELECT (ARRAY['c', 'Ä', 'a'])[1 + n % 3], n, 2 - n % 2
            FROM generate_series(1, 40) AS n""")
    before = one(conn, "SELECT array_agg((kind, id) ORDER BY kind, id) FROM fact WHERE v = 2")
    report = begun(conn, attrs.evolve(OLD, table="fact", order=("kind", "id")), rows=7)
    assert (report.rows, report.jobs_done) == (40, 1)
    assert before == one(conn, "SELECT array_agg((kind, id) ORDER BY kind, id) FROM fact")


# -- foreign keys, triggers, rules -----------------------------------------------------------------

NOTE = "CREATE TABLE note (id int PRIMARY KEY, event_id int CONSTRAINT note_event REFERENCES event"
INDEXED = "; CREATE INDEX ON note (event_id)"
TRIGGER = """
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER keep BEFORE {} ON event FOR EACH ROW EXECUTE FUNCTION keep();
"""
NO_ERROR: list[Any] = []
REFERS = [(FindingCode.MAY_REFER, "note", "note_event")]
CASCADES = [(FindingCode.CASCADE, "note", "note_event")]


@pytest.mark.parametrize(
    ("ddl", "errors", "warnings"),
    [
        ("", NO_ERROR, []),
        (f"{NOTE}){INDEXED}", NO_ERROR, REFERS),
        (f"{NOTE})", [(FindingCode.UNINDEXED, "note", "note_event")], REFERS),
        (f"{NOTE} ON DELETE CASCADE){INDEXED}", NO_ERROR, CASCADES),
        (f"{NOTE} ON DELETE SET NULL){INDEXED}", NO_ERROR, CASCADES),
        (TRIGGER.format("DELETE"), NO_ERROR, [(FindingCode.TRIGGER, "event", "keep")]),
        (TRIGGER.format("UPDATE"), NO_ERROR, []),
        (
            "CREATE RULE keep AS ON DELETE TO event DO INSTEAD NOTHING",
            [(FindingCode.RULE, "event", "keep")],
            [],
        ),
        ("CREATE RULE keep AS ON UPDATE TO event DO ALSO SELECT 1", NO_ERROR, []),
        ("DROP TABLE bulk_job", [(FindingCode.NO_JOB_TABLE, "bulk_job", "")], []),
    ],
)
def test_preflight_shows_what_a_chunk_would_meet(
    conn: Any, ddl: str, errors: Any, warnings: Any
) -> None:
    conn.execute(ddl)
    seen = preflight(conn, OLD)
    assert [(one.code, one.table, one.name) for one in seen.errors] == errors
    assert [(one.code, one.table, one.name) for one in seen.warnings] == warnings


def test_preflight_shows_the_statements_and_the_number_of_rows(conn: Any) -> None:
    seen = preflight(conn, attrs.evolve(OLD, where=lambda start: {"at": lt(start), "v": 1}))
    assert [shown.title for shown in seen.statements] == [
        "start: insert bulk_job",
        "stage 1 of 1, event: first chunk",
        "stage 1 of 1, event: later chunks",
        *[shown.title for shown in seen.statements[3:] if shown.title.startswith("end: ")],
    ]
    assert all(shown.explain for shown in seen.statements)
    assert [count.rows for count in seen.row_counts] == [50]
    assert one(conn, "SELECT count(*) FROM event") == 100
    with pytest.raises(ValueError, match="only a DeleteTree takes the key of a parent"):
        preflight(conn, OLD, 7)


def test_row_that_is_referred_to_makes_the_job_stuck_with_the_constraint(conn: Any) -> None:
    conn.execute(f"{NOTE}){INDEXED}; INSERT INTO note VALUES (1, 35)")
    report = begun(conn)
    assert (report.jobs_stuck, report.jobs_done) == (1, 0)
    assert "note_event" in job_of(conn, "last_error")
    conn.execute("DELETE FROM note")
    run(conn, OLD.jobs.retry(job_of(conn, "id")))
    assert go_on(conn, OLD).jobs_done == 1
    assert one(conn, "SELECT count(*) FROM event WHERE v = 1") == 0


def test_row_that_a_trigger_keeps_stays_and_the_job_ends(conn: Any) -> None:
    conn.execute(TRIGGER.format("DELETE").replace("ROW EXECUTE", "ROW WHEN (OLD.id = 7) EXECUTE"))
    report = begun(conn)
    assert (report.rows, report.jobs_done) == (49, 1)
    assert conn.execute("SELECT id FROM event WHERE v = 1").fetchall() == [(7,)]


# -- in the order of the heap ----------------------------------------------------------------------

MOVED = "UPDATE wide SET note = repeat('x', 500) WHERE id = 15000"


@pytest.fixture(name="wide")
def wide_fixture(conn: Any) -> Any:
    conn.execute("""
        CREATE TABLE wide (id int PRIMARY KEY, v int NOT NULL, note text);
        INSERT INTO wide SELECT n, 1 + n % 3 / 2 FROM generate_series(1, 20000) AS n;
        DELETE FROM wide WHERE id <= 100""")
    conn.execute("VACUUM ANALYZE wide")
    return conn


WIDE = attrs.evolve(OLD, table="wide")


def test_rows_that_are_most_of_a_table_are_deleted_in_the_order_of_the_heap(
    wide: Any, at: Any, connect: Callable[..., Any]
) -> None:
    """A row that an update moves to a block that was read already is found by the second scan."""
    writer, block = connect(), "SELECT (ctid::text::point)[0]::int FROM wide WHERE id = 15000"
    before = one(wide, block)
    moved = at(3, lambda: writer.execute(MOVED))
    after = at(4, lambda: blocks.append(one(writer, block)))
    blocks: list[int] = []
    report = begun(wide, WIDE, rows=3_000, throttles=[moved, after])
    assert blocks[0] == 0 < before
    assert job_of(wide, "cursor_key[2], restarts") == ("ctid", 2)
    assert (report.rows, report.jobs_done) == (one(wide, "SELECT 19900 - count(*) FROM wide"), 1)
    assert one(wide, "SELECT count(*) FROM wide WHERE v = 1") == 0


def test_blocks_without_a_due_row_are_passed_over_in_few_chunks(wide: Any) -> None:
    wide.execute("DELETE FROM wide WHERE v = 1 AND id > 8000 AND id NOT IN (18000, 18700)")
    due = one(wide, "SELECT count(*) FROM wide WHERE v = 1")
    report = begun(wide, WIDE, rows=300)
    assert (report.rows, report.jobs_done) == (due, 1)
    assert job_of(wide, "cursor_key[2], restarts") == ("ctid", 1)
    assert one(wide, "SELECT count(*) FROM wide WHERE v = 1") == 0
    assert report.chunks < 70  # of 300 rows each: two scans of all would be 130 or more


def test_locked_rows_are_looked_for_in_the_same_order(
    wide: Any, connect: Callable[..., Any]
) -> None:
    begin(wide, WIDE)
    with connect() as holder, holder.transaction():
        holder.execute("SELECT FROM wide WHERE id = 4500 FOR UPDATE")
        report = go_on(wide, WIDE, 3_000, timeout=0.3)
        assert (report.jobs_done, report.jobs_released) == (0, 1)
        assert job_of(wide, "cursor_key[2], restarts") == ("ctid", 0)
    assert go_on(wide, WIDE, 3_000).jobs_done == 1
    assert one(wide, "SELECT count(*) FROM wide WHERE v = 1") == 0


def test_preflight_shows_the_order_of_the_heap(wide: Any) -> None:
    seen = preflight(wide, WIDE)
    seen.raise_for_errors()
    (line,) = [line for line in seen.lines() if line.startswith("Order of")]
    assert line.startswith("Order of wide: that of the heap: about 1")
    assert "rows are due" in line
    in_range = attrs.evolve(WIDE, where={"id": lt(15_000)})
    assert not any("heap" in shown.title for shown in preflight(wide, in_range).statements)
