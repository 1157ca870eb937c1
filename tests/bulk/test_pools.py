# SPDX-License-Identifier: MIT
"""A pool without a connection at each request: the report shows exactly what was committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from batchq.bulk import ChunkSize, Report, StopReason
from batchq.testing import Proxy, proxy
from tests.support.lock_waits import TIMEOUT, until_waits

SIZE = ChunkSize(minimum=600, initial=600, maximum=600)
REQUESTS = (
    "unknown waiting estimate claim chunk chunk last again chunk last waiting backlog".split()
)
LATE = REQUESTS.index("last")
"""Before it a row comes, which is found at the end."""


def undone(link: Proxy) -> None:
    link.cut_requests(after=0)


def done(link: Proxy) -> None:
    link.hold(syncs=2)
    link.cut_answers(after=0)


@pytest.mark.parametrize("cut", [undone, done])
@pytest.mark.parametrize(
    "place", range(len(REQUESTS)), ids=[f"{n}-{name}" for n, name in enumerate(REQUESTS)]
)
def test_pool_with_cut_connections_loses_and_doubles_no_row(
    fenced: Any, database: str, cut: Callable[[Proxy], None], place: int
) -> None:
    """If a step is lost it continues; otherwise it stops, and the next worker continues."""
    count = 0

    class Meddling(ConnectionPool):
        """A connection is taken for each request."""

        def connection(self, timeout: float | None = None) -> Any:
            nonlocal count
            if count == place:
                cut(link)
            if count == LATE:
                fenced.conn.execute("INSERT INTO rule VALUES (5000, 1)")
            count += 1
            return super().connection(timeout)

    settings: Any = {"min_size": 1, "max_size": 1, "open": True}
    with proxy(database) as link, Meddling(link.conninfo(), **settings) as pool:
        report: Report = fenced.resume(pool, chunk_size=SIZE)

    if REQUESTS[place] in {"chunk", "last"}:
        assert (report.stop_reason, report.jobs_done, report.rows) == (
            StopReason.EXHAUSTED,
            1,
            1_001,
        )
    if REQUESTS[place] in {"unknown", "claim", "again"}:
        assert report.stop_reason is StopReason.FAILED
    assert report.rows == report.rows_by_table["rule"] == fenced.job("rows_done")
    assert report.chunks == report.chunks_by_table["rule"]
    fenced.end_lease()
    rows = 1_000 + (count > LATE)
    assert fenced.resume().rows == rows - report.rows
    fenced.assert_deleted(rows)


@pytest.fixture
def pool(database: str) -> Iterator[ConnectionPool]:
    with ConnectionPool(database, min_size=1, max_size=1, open=True, timeout=0.1) as opened:
        yield opened


def test_pool_without_a_connection_stops_the_worker(fenced: Any, pool: ConnectionPool) -> None:
    with pool.connection(30):
        report = fenced.resume(pool)
    assert report.stop_reason is StopReason.FAILED
    assert "0.10 sec" in report.detail
    assert fenced.job("epoch") == 0
    fenced.resume()
    fenced.assert_deleted()


def test_pool_that_runs_out_stops_the_worker_and_the_next_continues(
    fenced: Any, pool: ConnectionPool, at: Callable[..., Callable[[], None]]
) -> None:
    held: list[Any] = []
    report = fenced.resume(pool, throttles=[at(3, lambda: held.append(pool.getconn(30)))])
    pool.putconn(held[0])
    assert (report.stop_reason, report.rows, report.jobs_released) == (StopReason.FAILED, 600, 1)
    assert (report.rows_by_table, report.chunks_by_table) == ({"rule": 600}, {"rule": 2})
    assert fenced.resume().chunks == 0
    fenced.end_lease()
    assert fenced.resume().rows == 400
    fenced.assert_deleted()


def test_session_ended_by_the_server_is_followed_by_another(
    fenced: Any, pool: ConnectionPool, connect: Callable[..., Any]
) -> None:
    """An operator's doing, or a failover: nothing is wrong with the job."""
    holder = connect()
    holder.execute("BEGIN")
    holder.execute("SELECT FROM rule WHERE id = 450 FOR UPDATE")
    with pool.connection(30) as connection:
        pid = connection.info.backend_pid
    pool.timeout = TIMEOUT
    with ThreadPoolExecutor(1) as threads:
        work = threads.submit(fenced.resume, pool, timeout=60, lease=timedelta(minutes=2))
        try:
            until_waits(fenced.conn, pid, work)
            fenced.conn.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
        finally:
            holder.execute("ROLLBACK")
    report = work.result()
    assert report.rows == fenced.job("rows_done")
    fenced.assert_exact()
    fenced.resume()
    fenced.assert_deleted()


def test_server_that_turned_read_only_is_left_for_another(
    fenced: Any, pool: ConnectionPool, at: Callable[..., Callable[[], None]]
) -> None:
    """A failover: the connections that the pool opens from then on are to the new primary."""

    def fail_over() -> None:
        with pool.connection(30) as connection:
            connection.autocommit = True
            connection.execute("SET default_transaction_read_only = on")

    pool.timeout = 30
    report = fenced.resume(pool, throttles=[at(3, fail_over)])
    assert (report.stop_reason, report.detail) == (StopReason.EXHAUSTED, "")
    assert (report.jobs_done, report.rows, report.retries) == (1, 1_000, 1)
    fenced.assert_deleted()


def test_connection_to_a_read_only_server_is_not_returned_to_the_pool(
    fenced: Any, pool: ConnectionPool
) -> None:
    with pool.connection(30) as connection:
        connection.autocommit = True
        connection.execute("SET default_transaction_read_only = on")
    pool.timeout = 30
    report = fenced.resume(pool)
    assert report.stop_reason is StopReason.FAILED
    assert "read-only" in report.detail or "no writes" in report.detail
    assert fenced.resume(pool).rows == 1_000
    fenced.assert_deleted()
