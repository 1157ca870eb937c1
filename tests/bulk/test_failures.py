# SPDX-License-Identifier: MIT
"""What the server rejects, and what happens to the job: stuck, released, or tried again.

The requests after each failure are in test_failure_handling.py; here the server fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import attrs
import psycopg
import pytest
from psycopg import sql

import batchq
from batchq import UnmappedViolation
from batchq.bulk import (
    Backfill,
    Budget,
    ChildDelete,
    ChunkSize,
    DeleteTree,
    Progress,
    Report,
    StopReason,
    TooManyRows,
    start,
)
from batchq.bulk.errors import NoJobTable, RowsAfterFence
from batchq.bulk.progress.events import Event
from tests.support.lock_waits import until_waits

SHRINKS = ChunkSize(minimum=10, initial=400, maximum=400, target=3600)
"""Only what fails makes it smaller."""


class Events(list[Progress]):
    """A watcher that keeps the events, and may do something at one of them."""

    def __init__(self, **at: Callable[[], object]) -> None:
        self._at = at

    def __call__(self, received: Progress | Report) -> None:
        if isinstance(received, Progress):
            self.append(received)
            self._at.get(received.event.name, bool)()

    @property
    def names(self) -> list[str]:
        return [progress.event.name for progress in self]


# -- what a constraint refuses ---------------------------------------------------------------------

HIT = "CREATE TABLE hit (at int CONSTRAINT hit_fk REFERENCES {}); INSERT INTO hit VALUES ({})"
CHECKED = """
ALTER TABLE rule ADD time_deleted timestamptz;
ALTER TABLE rule ADD CONSTRAINT hit_fk CHECK (time_deleted IS NULL OR id <> 500)
"""


@pytest.mark.parametrize(
    ("refuses", "mended", "options", "rows"),
    [
        (HIT.format("rule", 500), "DROP TABLE hit", {}, 300),
        (HIT.format("rule ON DELETE RESTRICT", 500), "DROP TABLE hit", {}, 300),
        (HIT.format("rule DEFERRABLE INITIALLY DEFERRED", 500), "DROP TABLE hit", {}, 300),
        (HIT.format("vpc", 1), "DROP TABLE hit", {}, 1_000),
        (CHECKED, "ALTER TABLE rule DROP CONSTRAINT hit_fk", {"hard": False}, 300),
    ],
    ids=["a chunk", "a chunk, restricted", "a chunk's COMMIT", "the final batch", "a soft delete"],
)
def test_job_rejected_by_a_constraint_is_stuck_until_fixed(
    estate: Any, refuses: str, mended: str, options: dict[str, Any], rows: int
) -> None:
    estate.conn.execute(refuses)
    if options:
        rules = estate.tree.parent.children("rule", by="vpc_id", deleted_at="time_deleted")
        estate.tree = DeleteTree(
            name="vpc", parent=estate.tree.parent, children=[ChildDelete(relation=rules)]
        )
    job = estate.fence(1)
    estate.fence(2)

    report = estate.resume()
    assert (report.stop_reason, report.jobs_stuck, report.jobs_done) == (StopReason.EXHAUSTED, 1, 1)
    phase, error, lease, done = estate.job("phase, last_error, lease_until, rows_done")
    assert (phase, lease, done) == ("stuck", None, rows)
    assert "hit_fk" in error
    assert estate.one("SELECT count(*) FROM vpc WHERE id = 1") == 1
    assert estate.resume() == Report()

    estate.conn.execute(mended)
    assert batchq.run(estate.conn, estate.tree.jobs.retry(job)) == 1
    assert estate.resume().rows == 1_000 - rows
    assert estate.job("phase, rows_done, last_error") == ("done", 1_000, None)
    assert estate.one("SELECT count(*) FROM vpc WHERE id = 1") == 0


def test_not_null_column_is_named_in_last_error(estate: Any) -> None:
    """Not every refusal is a named constraint's."""
    rules = ChildDelete(relation=estate.rules, set={"vpc_id": None})
    estate.tree = DeleteTree(name="vpc", parent=estate.tree.parent, children=[rules])
    estate.fence()
    assert estate.resume().jobs_stuck == 1
    assert re.fullmatch(
        r"constraint (NOT NULL|\w+) on rule\.vpc_id rejects it \(SQLSTATE 23502\)",
        estate.job("last_error"),
    )


def test_missing_job_table_is_named_with_its_ddl(estate: Any) -> None:
    estate.conn.execute("DROP TABLE bulk_job")
    words = re.escape("the job table 'bulk_job' does not exist: ") + r".*task\.jobs\.ddl\(\)"
    report = estate.resume()
    assert report.stop_reason is StopReason.FAILED
    assert re.match(words, report.detail)
    with pytest.raises(NoJobTable, match=words):
        start(estate.conn, attrs.evolve(estate.tree, inline_limit=5), 1, missing=LookupError())
    backfill = Backfill(name="x", table="rule", set={"name": "x"}, where={"name": None})
    for batch in (backfill.start(), estate.tree.fence(1, missing=LookupError())):
        with pytest.raises(NoJobTable, match=words):
            batchq.run(estate.conn, batch)


def test_another_missing_table_is_not_taken_for_the_job_table(estate: Any) -> None:
    estate.conn.execute("DROP TABLE rule")
    with pytest.raises(UnmappedViolation, match="rule"):
        batchq.run(estate.conn, estate.tree.fence(1, missing=LookupError()))


def test_errors_of_trees_are_sentences() -> None:
    assert str(TooManyRows("rule", 5000)).startswith("rule: more than 5,000 rows are too many ")
    assert str(RowsAfterFence("rule", 7)) == "rule: rows are left after the last chunk, such as 7"


def test_job_retried_before_the_fix_is_restarted_as_often(estate: Any) -> None:
    estate.conn.execute(HIT.format("vpc", 1))
    job = estate.fence()
    received = [Events(), Events()]
    for events in received:
        estate.resume(observers=[events])
        assert batchq.run(estate.conn, estate.tree.jobs.retry(job)) == 1
    assert [events.names.count("RESTARTED") for events in received] == [4, 4]
    assert all(events.names[-1] == "STUCK" for events in received)


# -- what nothing but a person can mend ------------------------------------------------------------


@pytest.fixture
def role(estate: Any) -> Iterator[str]:
    """May do everything but delete rules."""
    name = estate.one("SELECT 'worker_' || current_schema")
    who = sql.Identifier(name)
    for text in (
        "CREATE ROLE {}",
        "GRANT USAGE ON SCHEMA {schema} TO {}",
        "GRANT ALL ON vpc, bulk_job TO {}",
        "GRANT SELECT, UPDATE ON rule TO {}",
    ):
        schema = sql.Identifier(estate.one("SELECT current_schema"))
        estate.conn.execute(sql.SQL(text).format(who, schema=schema))
    yield name
    estate.conn.execute(sql.SQL("DROP OWNED BY {}").format(who))
    estate.conn.execute(sql.SQL("DROP ROLE {}").format(who))


def assert_left(estate: Any, report: Report, sqlstate: str, done: int = 0) -> None:
    assert (report.stop_reason, report.jobs_released, report.jobs_unfinished) == (
        StopReason.FAILED,
        1,
        1,
    )
    assert sqlstate in report.detail
    *job, error = estate.job("phase, lease_until, owner, rows_done, last_error")
    assert job == ["active", None, None, done]
    assert sqlstate in error


def test_missing_table_releases_the_job(fenced: Any) -> None:
    fenced.conn.execute("ALTER TABLE rule RENAME TO elsewhere")
    assert_left(fenced, fenced.resume(), "42P01")
    fenced.conn.execute("ALTER TABLE elsewhere RENAME TO rule")
    fenced.resume()
    fenced.assert_deleted()


def test_missing_privilege_releases_the_job_for_another_role(
    fenced: Any, connect: Callable[..., Any], role: str
) -> None:
    worker = connect()
    worker.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
    assert_left(fenced, fenced.resume(worker), "42501")
    fenced.resume()
    fenced.assert_deleted()


REFUSES_THE_FIRST = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF OLD.id = 1 THEN RAISE 'never'; END IF; RETURN OLD;
END $$;
CREATE TRIGGER refuse BEFORE DELETE ON vpc FOR EACH ROW EXECUTE FUNCTION refuse();
"""


@pytest.mark.parametrize("chunks", [6, 5], ids=["exhausted", "out of chunks"])
def test_rejected_job_is_followed_by_the_next_and_reported(estate: Any, chunks: int) -> None:
    """Whatever stops the worker afterwards: the failure must not be hidden by a used-up budget."""
    estate.fence(1)
    estate.fence(2)
    estate.conn.execute(REFUSES_THE_FIRST)
    report = estate.resume(budget=Budget(chunks=chunks))
    assert (report.stop_reason, report.jobs_done) == (StopReason.FAILED, chunks - 5)
    assert "P0001" in report.detail


# -- what is tried again ---------------------------------------------------------------------------


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause between conflicts."""
    monkeypatch.setattr("random.uniform", lambda least, _most: least)


def refusing(estate: Any, sqlstate: str, times: int) -> None:
    """Let the server refuse the next chunks; a sequence is not rolled back with them."""
    estate.conn.execute(f"""
        CREATE SEQUENCE tries;
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('tries') <= {times} THEN RAISE SQLSTATE '{sqlstate}'; END IF; RETURN NULL;
        END $$;
        CREATE TRIGGER refuse AFTER DELETE ON rule
            FOR EACH STATEMENT EXECUTE FUNCTION refuse();
    """)


@pytest.mark.usefixtures("restless")
@pytest.mark.parametrize("sqlstate", ["40P01", "40001"])
def test_conflict_is_retried_with_half_of_the_rows(fenced: Any, sqlstate: str) -> None:
    refusing(fenced, sqlstate, 5)
    events = Events()
    report = fenced.resume(chunk_size=SHRINKS, observers=[events])
    assert report.retries == 5
    assert [received.chunk_size for received in events[1:6]] == [200, 100, 50, 25, 12]
    assert all(
        received.event is Event.RETRIED and sqlstate in received.detail for received in events[1:6]
    )
    assert events[6].rows == 12
    fenced.assert_deleted()


@pytest.mark.usefixtures("restless")
@pytest.mark.parametrize("sqlstate", ["40P01", "40001"])
def test_six_conflicts_in_a_row_release_the_job(fenced: Any, sqlstate: str) -> None:
    refusing(fenced, sqlstate, 6)
    report = fenced.resume(chunk_size=SHRINKS)
    assert report.retries == 5
    assert_left(fenced, report, sqlstate)
    fenced.resume()
    fenced.assert_deleted()


def test_deadlock_is_retried(fenced: Any, connect: Callable[..., Any]) -> None:
    """The other waits for the chunk before the chunk waits for it, so the chunk is the victim."""
    gate, other = connect(), connect(options=f"{schema(fenced)} -cdeadlock_timeout=1h")
    worker = connect(options=f"{schema(fenced)} -cdeadlock_timeout=1ms")
    events = Events()
    with ThreadPoolExecutor(2) as threads:
        for session, row in ((gate, 100), (other, 200)):
            session.execute("BEGIN")
            session.execute("SELECT FROM rule WHERE id = %s FOR UPDATE", [row])
        try:
            work = threads.submit(
                fenced.resume,
                worker,
                chunk_size=SHRINKS,
                timeout=60,
                lease=timedelta(minutes=2),
                observers=[events],
            )
            until_waits(fenced.conn, worker.info.backend_pid, work)
            wants = threads.submit(other.execute, "SELECT FROM rule WHERE id = 1 FOR UPDATE")
            until_waits(fenced.conn, other.info.backend_pid, wants)
            gate.execute("ROLLBACK")
            wants.result()
        finally:
            gate.close()
            other.execute("ROLLBACK")
    report = work.result()
    assert (report.retries, report.jobs_done) == (1, 1)
    assert "40P01" in events[1].detail
    assert events[2].rows == 200
    fenced.assert_deleted()


def schema(estate: Any) -> str:
    return f"-csearch_path={estate.one('SELECT current_schema')},public"


@pytest.mark.parametrize("set_by", ["nothing", "connection", "session"])
def test_concurrent_update_does_not_conflict_at_any_default_isolation(
    fenced: Any, connect: Callable[..., Any], set_by: str
) -> None:
    """Each step says for itself that it is at READ COMMITTED; and the row is not a late one."""
    writer, worker = connect(), connect()
    if set_by == "connection":
        worker.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    elif set_by == "session":
        worker.execute("SET default_transaction_isolation = 'serializable'")
    writer.execute("BEGIN")
    writer.execute("UPDATE rule SET name = 'changed' WHERE id = 150")
    with ThreadPoolExecutor(1) as threads:
        work = threads.submit(fenced.resume, worker, timeout=60, lease=timedelta(minutes=2))
        try:
            until_waits(fenced.conn, worker.info.backend_pid, work)
        finally:
            writer.execute("COMMIT")
    report = work.result()
    assert (report.retries, report.rows, report.rows_after_fence) == (0, 1_000, 0)
    fenced.assert_deleted()


@pytest.mark.parametrize("ends", ["timeout", "lock_timeout"])
@pytest.mark.parametrize(
    ("locked", "sizes"),
    [("rule WHERE id = 250 FOR UPDATE", [100, 100]), ("vpc WHERE id = 1 FOR SHARE", None)],
)
def test_step_that_waits_too_long_is_retried_until_it_succeeds(
    fenced: Any, connect: Callable[..., Any], ends: str, locked: str, sizes: list[int] | None
) -> None:
    """A row is skipped meanwhile, and waited for again in the next scan."""
    holder = connect()
    holder.execute("BEGIN")
    holder.execute(f"SELECT FROM {locked}")
    retried: list[int] = []

    def let_in_at_the_second() -> None:
        retried.append(events[-1].chunk_size)
        if len(retried) == 2:
            holder.execute("ROLLBACK")

    events = Events(RETRIED=let_in_at_the_second)
    worker = connect(options=f"{schema(fenced)} -clock_timeout={1000 * (ends != 'timeout')}")
    seconds = 1 if ends == "timeout" else 300
    report = fenced.resume(worker, chunk_size=SHRINKS, timeout=seconds, observers=[events])
    code = "57014" if ends == "timeout" else "55P03"
    assert (report.retries, report.jobs_done) == (2, 1)
    assert all(code in received.detail for received in events if received.event is Event.RETRIED)
    assert sizes is None or retried == sizes
    fenced.assert_deleted()


FAILS = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} RETURN OLD; END $$;
CREATE TRIGGER fail BEFORE DELETE ON rule FOR EACH ROW WHEN (OLD.id = 400) EXECUTE FUNCTION fail();
"""


@pytest.mark.parametrize(
    "body",
    [
        f"RAISE EXCEPTION 'no' USING DETAIL = 'hers', ERRCODE = '{state}';"
        for state in ("P0001", "57014", "0A000", "22012", "42501", "40001", "XX000")
    ],
)
def test_last_error_has_no_advice_and_no_values(estate: Any, body: str) -> None:
    """A chunk is the library's own, so no user can map it; and the server's DETAIL quotes rows."""
    estate.conn.execute(FAILS.format(body))
    estate.fence()
    received: list[Any] = []
    report = estate.resume(observers=[received.append])
    assert report.stop_reason is StopReason.FAILED
    texts = [report.detail, estate.job("last_error"), *(one.detail for one in received)]
    assert any("rule" in detail for detail in texts)
    for detail in filter(None, texts):
        for lesson in ("maps", "map it", ".on(", "hers", "internal"):
            assert lesson not in detail
