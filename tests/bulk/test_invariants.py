# SPDX-License-Identifier: MIT
"""What is always true of a delete in chunks: visibility, ownership, counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

import batchq
from batchq.bulk import Budget, ChunkSize, Report, StopReason
from batchq.testing import proxy
from tests.support.lock_waits import until_waits

At = Callable[[int, Callable[[], object]], Callable[[], None]]


@pytest.fixture
def fenced(estate: Any) -> Any:
    estate.fence()
    return estate


# -- who sees what ---------------------------------------------------------------------------------


def test_reader_sees_all_or_nothing_at_every_step(estate: Any, conn: Any) -> None:
    """Children first, parent last, in one batch: I1 and I2."""
    living = batchq.select("vpc", ["id"], where={"id": 1, "time_deleted": None})
    reading = batchq.gather(
        batchq.select("rule", ["id"], where={"vpc_id": 1}).all(dict),
        living.maybe(dict),
    )
    seen: list[int | None] = []

    def look() -> None:
        rules, vpc = batchq.run(conn, reading)
        seen.append(None if vpc is None else len(rules))

    look()
    estate.fence()
    look()
    estate.resume(throttles=[look])
    look()
    assert seen == [1_000, *[None] * 7]
    estate.assert_deleted()


def test_writer_after_the_fence_gets_an_error(
    fenced: Any, connect: Callable[..., Any], at: At
) -> None:
    writer = connect()

    def add() -> None:
        rule = batchq.insert("rule", {"id": 5_000, "vpc_id": 1, "name": "late"})
        with pytest.raises(fenced.missing):
            batchq.run(writer, fenced.rules.add(1, rule, missing=fenced.missing()))

    report = fenced.resume(throttles=[at(n, add) for n in (1, 2, 5)])
    assert report.rows_after_fence == 0
    fenced.assert_deleted()


@pytest.mark.parametrize("key", [0, 5_000], ids=["before the cursor", "ahead of it"])
def test_row_inserted_after_the_fence_is_deleted_and_counted(
    fenced: Any, connect: Callable[..., Any], at: At, key: int
) -> None:
    writer = connect()
    late = at(5, lambda: writer.execute("INSERT INTO rule VALUES (%s, 1)", [key]))
    report = fenced.resume(throttles=[late])
    assert (report.jobs_done, report.rows_after_fence, report.rows) == (1, 1, 1_001)
    fenced.assert_deleted(rows=1_001)


def test_job_is_stuck_when_rows_keep_coming_and_names_them(
    fenced: Any, connect: Callable[..., Any]
) -> None:
    writer = connect()
    keys = iter(range(5_000, 6_000))

    def insert() -> None:
        if not fenced.left():
            writer.execute("INSERT INTO rule VALUES (%s, 1)", [next(keys)])

    report = fenced.resume(throttles=[insert])
    assert (report.stop_reason, report.jobs_stuck, report.jobs_done) == (StopReason.EXHAUSTED, 1, 0)
    phase, error, rows, lease = fenced.job("phase, last_error, rows_done, lease_until")
    assert (phase, rows, lease) == ("stuck", report.rows, None)
    assert "rule" in error
    assert str(next(keys) - 1) in error
    assert fenced.one("SELECT count(*) FROM vpc WHERE id = 1") == 1
    assert fenced.resume() == Report()  # no worker claims it again


@pytest.mark.parametrize(
    "moved",
    ["time_deleted = NULL", "rcgen = rcgen + 1"],
    ids=["brought back", "changed"],
)
def test_changed_parent_is_not_deleted(
    fenced: Any, connect: Callable[..., Any], at: At, moved: str
) -> None:
    other = connect()
    move = at(5, lambda: other.execute(f"UPDATE vpc SET {moved} WHERE id = 1"))
    assert fenced.resume(throttles=[move]).jobs_stuck == 1
    assert fenced.one("SELECT count(*) FROM vpc WHERE id = 1") == 1
    assert fenced.job("phase") == "stuck"


def test_row_updated_while_a_chunk_waits_is_deleted_with_it(
    fenced: Any, connect: Callable[..., Any]
) -> None:
    """It is not a late row: it was there all the time."""
    writer, worker = connect(), connect()
    writer.execute("BEGIN")
    writer.execute("UPDATE rule SET name = 'changed' WHERE id = 150")
    with ThreadPoolExecutor(1) as threads:
        work = threads.submit(fenced.resume, worker, timeout=60, lease=timedelta(minutes=2))
        try:
            until_waits(fenced.conn, worker.info.backend_pid, work)
        finally:
            writer.execute("COMMIT")
    report = work.result()
    fenced.assert_deleted()
    assert (report.rows, report.rows_after_fence) == (1_000, 0)


# -- who owns what ---------------------------------------------------------------------------------


@pytest.mark.parametrize("when", [1, 3, 5], ids=["first chunk", "a chunk", "final batch"])
@pytest.mark.parametrize("continues", [False, True], ids=["idle", "active"])
def test_worker_that_lost_the_lease_deletes_nothing(
    fenced: Any, connect: Callable[..., Any], at: At, when: int, continues: bool
) -> None:
    first = connect()
    second: list[Report] = []

    def take_away() -> None:
        fenced.end_lease()
        second.append(fenced.resume(owner="second", budget=Budget(chunks=1 if continues else 0)))

        fenced.conn.execute("UPDATE bulk_job SET lease_until = 'infinity' WHERE phase = 'active'")

    report = fenced.resume(first, owner="first", throttles=[at(when, take_away)])
    assert report.leases_lost == 1
    assert report.rows == min(300 * (when - 1), 1_000)
    assert report.rows + second[0].rows + fenced.left() == 1_000
    fenced.end_lease()
    assert fenced.resume().rows == 1_000 - report.rows - second[0].rows
    fenced.assert_deleted()


def test_valid_lease_excludes_other_workers(fenced: Any, connect: Any, at: At) -> None:
    other: list[Report] = []
    asked = at(2, lambda: other.append(fenced.resume(connect())))
    assert fenced.resume(throttles=[asked]).jobs_done == 1
    assert [(report.chunks, report.jobs_unfinished) for report in other] == [(0, 1)]


UNKNOWN = (
    "INSERT INTO bulk_job (id, task, version, root, generation, created_at) SELECT "
    "gen_random_uuid(), 'vpc', 99, 'x' || n, 1, now() - interval '1 day' FROM generate_series"
)


def test_job_of_another_version_is_skipped_and_unchanged(fenced: Any) -> None:
    fenced.conn.execute("UPDATE bulk_job SET version = 99")
    before = fenced.job("bulk_job::text")
    report = fenced.resume()
    assert (report.stop_reason, report.jobs_skipped, report.chunks) == (StopReason.EXHAUSTED, 1, 0)
    assert (fenced.job("bulk_job::text"), fenced.left()) == (before, 1_000)


def test_jobs_of_another_version_do_not_block_others(fenced: Any) -> None:
    """However many of them there are, and older than the one that can be done."""
    fenced.conn.execute(f"{UNKNOWN}(1, 20) n")
    report = fenced.resume()
    assert (report.jobs_done, report.jobs_skipped) == (1, 20)
    fenced.assert_deleted()


def test_rejected_job_does_not_block_others(estate: Any) -> None:
    """A table that the tree does not name refers to a rule of the first; the second is fine."""
    estate.conn.execute("CREATE TABLE hit (rule_id int REFERENCES rule)")
    estate.conn.execute("INSERT INTO hit VALUES (500)")
    estate.fence(1)
    estate.fence(2)
    reports = [estate.resume(), estate.resume()]
    assert estate.one("SELECT phase FROM bulk_job WHERE root = '2'") == "done"
    assert any("hit_rule_id_fkey" in report.detail for report in reports) or (
        "hit_rule_id_fkey" in estate.job("last_error")
    )
    estate.assert_exact()


# -- how much, and how politely --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "stop_reason", "rows"),
    [
        ({"budget": Budget(chunks=2)}, StopReason.CHUNKS, 600),
        ({"budget": Budget(rows=301)}, StopReason.ROWS, 600),
        ({"budget": Budget(seconds=0)}, StopReason.SECONDS, 0),
        ({"stop": lambda: True}, StopReason.INTERRUPTED, 0),
        ({"throttles": [lambda: None, lambda: "replica lag"]}, StopReason.THROTTLED, 0),
    ],
    ids=lambda value: value.name if isinstance(value, StopReason) else "",
)
def test_stop_reason_is_reported_and_the_job_released(
    fenced: Any, options: dict[str, Any], stop_reason: StopReason, rows: int
) -> None:
    report = fenced.resume(**options)
    detail = "replica lag" if stop_reason is StopReason.THROTTLED else ""
    assert (report.stop_reason, report.detail, report.rows) == (stop_reason, detail, rows)
    assert (report.jobs_released, report.jobs_done) == (1, 0)
    assert fenced.job("phase, rows_done, lease_until, owner") == ("active", rows, None, None)
    fenced.resume()
    fenced.assert_deleted()


@pytest.mark.parametrize("pooled", [False, True], ids=["connection", "pool"])
@pytest.mark.parametrize("autocommit", [True, False], ids=["autocommit", "no autocommit"])
def test_no_transaction_is_open_during_a_throttle(
    fenced: Any, database: str, pooled: bool, autocommit: bool
) -> None:
    states: list[str] = []

    def look() -> None:
        states.append(
            fenced.one(
                "SELECT string_agg(DISTINCT state, ' ') FROM pg_stat_activity "
                "WHERE application_name = 'worker'"
            )
        )

    options: Any = {"application_name": "worker", "autocommit": autocommit}
    with (
        ConnectionPool(database, kwargs=options, min_size=1, max_size=1, open=True)
        if pooled
        else psycopg.connect(database, **options)
    ) as target:
        fenced.resume(target, throttles=[look])
    assert states == ["idle"] * 5
    fenced.assert_deleted()


@pytest.fixture
def slow(fenced: Any) -> Iterator[Any]:
    """Chunks of more than 100 rows take a minute on this server."""
    fenced.conn.execute("""
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF (SELECT count(*) FROM old) > 100 THEN PERFORM pg_sleep(60); END IF; RETURN NULL;
        END $$;
        CREATE TRIGGER slow AFTER DELETE ON rule REFERENCING OLD TABLE AS old
            FOR EACH STATEMENT EXECUTE FUNCTION slow();
    """)
    return fenced


def test_chunk_that_times_out_is_followed_by_a_smaller_one(slow: Any) -> None:
    done: list[int] = []
    report = slow.resume(
        chunk_size=ChunkSize(minimum=10, initial=320, maximum=320, target=3600),
        timeout=1,
        throttles=[lambda: done.append(slow.job("rows_done"))],
    )
    assert done[:4] == [0, 0, 80, 160]
    assert report.jobs_done == 1
    slow.assert_deleted()


def test_lock_held_for_ever_does_not_block_the_worker(
    fenced: Any, connect: Callable[..., Any]
) -> None:
    """Failures count as chunks that were tried: a budget of chunks ends them."""
    holder = connect()
    holder.execute("BEGIN")
    holder.execute("SELECT FROM rule WHERE id = 1 FOR UPDATE")
    asked: list[None] = []

    def throttle() -> str | None:
        asked.append(None)
        return "this went on for ever" if len(asked) > 20 else None

    budget = Budget(chunks=5, seconds=math.inf)
    report = fenced.resume(budget=budget, timeout=0.001, throttles=[throttle])
    assert report.stop_reason is not StopReason.THROTTLED
    fenced.assert_exact()


def test_chunk_is_one_flight(fenced: Any, database: str) -> None:
    """Held until the server has answered all of it: the client never waits for a part."""
    flights: list[int] = []
    with (
        proxy(database) as link,
        psycopg.connect(link.conninfo(), autocommit=True) as conn,
        link.record() as recording,
    ):

        def throttle() -> None:
            flights.append(recording.flights)
            link.hold(syncs=2)

        fenced.resume(conn, throttles=[throttle])
    assert [after - before for before, after in pairwise(flights)] == [1] * 4
    fenced.assert_deleted()
