# SPDX-License-Identifier: MIT
"""Steps that are tried again: after conflicts, deadlocks and waits for locks."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from batchq.bulk import (
    ChunkSize,
)
from batchq.bulk.progress.events import Event
from tests.support.lock_waits import until_waits
from tests.support.progress_events import Events

SHRINKS = ChunkSize(minimum=10, initial=400, maximum=400, target=3600)
"""Only what fails makes it smaller."""


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
    fenced.assert_released(report, sqlstate)
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
    worker = connect(options=f"{schema(fenced)} -clock_timeout={100 * (ends != 'timeout')}")
    seconds = 1 if ends == "timeout" else 300
    report = fenced.resume(worker, chunk_size=SHRINKS, timeout=seconds, observers=[events])
    code = "57014" if ends == "timeout" else "55P03"
    assert (report.retries, report.jobs_done) == (2, 1)
    assert all(code in received.detail for received in events if received.event is Event.RETRIED)
    assert sizes is None or retried == sizes
    fenced.assert_deleted()
