# SPDX-License-Identifier: MIT
"""Throttles: a query, the lag of replicas, a flag; and pauses between chunks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

import batchq
from batchq.bulk import ChunkSize, StopReason
from batchq.bulk.throttles import query_throttle, replica_lag_throttle
from batchq.bulk.worker.requests import Sleep
from tests.support.worker_driver import driven

# -- asking ----------------------------------------------------------------------------------------


@pytest.fixture
def pause(conn: psycopg.Connection[Any]) -> None:
    conn.execute("CREATE TABLE pause (id int, who text)")


@pytest.mark.usefixtures("pause")
def test_query_throttle_returns_the_first_row_or_none(conn: Any) -> None:
    throttle = query_throttle(
        conn, "SELECT who FROM pause WHERE id > %(least)s ORDER BY id", least=1
    )
    conn.execute("INSERT INTO pause VALUES (1, 'too small')")
    assert throttle() is None
    conn.execute("INSERT INTO pause VALUES (3, 'second'), (2, 'first')")
    assert throttle() == "first"
    conn.execute("DELETE FROM pause")
    assert throttle() is None


@pytest.mark.parametrize(
    ("value", "reason"), [("'a % and a ''quote'''", "a % and a 'quote'"), ("7", "7"), ("''", "")]
)
def test_query_throttle_returns_text(conn: Any, value: Any, reason: str) -> None:
    assert query_throttle(conn, f"SELECT {value} AS why")() == reason  # type: ignore[arg-type]


def test_query_throttle_is_read_only(conn: Any) -> None:
    conn.execute("CREATE TABLE asked (at int)")
    with pytest.raises(batchq.BatchError, match="25006"):
        query_throttle(conn, "INSERT INTO asked VALUES (1) RETURNING 'asked'")()
    assert conn.execute("SELECT count(*) FROM asked").fetchone() == (0,)


@pytest.mark.usefixtures("pause")
@pytest.mark.parametrize("pooled", [False, True], ids=["connection", "pool"])
@pytest.mark.parametrize("autocommit", [True, False], ids=["autocommit", "no autocommit"])
def test_query_throttle_may_use_the_resumed_database(
    fenced: Any, database: str, pooled: bool, autocommit: bool
) -> None:
    """A pool of one is enough: none of its connections is held while a throttle is asked."""
    options: Any = {"autocommit": autocommit}
    with (
        ConnectionPool(database, kwargs=options, min_size=1, max_size=1, open=True)
        if pooled
        else psycopg.connect(database, **options)
    ) as target:
        throttle = query_throttle(target, "SELECT 'paused by ' || who FROM pause")

        def pausing() -> None:
            if fenced.job("rows_done") == 600:
                fenced.conn.execute("INSERT INTO pause VALUES (1, 'ops')")

        report = fenced.resume(target, throttles=[pausing, throttle])
        assert (report.stop_reason, report.detail) == (StopReason.THROTTLED, "paused by ops")
        assert (report.throttled, report.rows) == ({"paused by ops": 1}, 600)
        fenced.conn.execute("DELETE FROM pause")
        assert fenced.resume(target, throttles=[throttle]).rows == 400
    fenced.assert_deleted()


def test_query_throttle_that_fails_stops_the_worker_and_releases_the_job(fenced: Any) -> None:
    """The database cannot be asked; whether there is a reason is not known."""
    report = fenced.resume(throttles=[query_throttle(fenced.conn, "SELECT who FROM nowhere")])
    assert report.stop_reason is StopReason.FAILED
    assert "42P01" in report.detail
    assert fenced.job("lease_until, rows_done") == (None, 0)


# -- replicas --------------------------------------------------------------------------------------


def test_replica_lag_throttle_without_replicas_returns_none(conn: Any) -> None:
    assert replica_lag_throttle(conn, timedelta(0))() is None


@pytest.mark.parametrize(
    ("lags", "reason"),
    [
        ({"near": "2 seconds"}, None),
        ({"near": "2 seconds", "far": "5 seconds"}, None),
        ({"near": "6 seconds", "far": "1 hour", "between": "1 minute"}, "far lags by 01:00:00"),
        ({"idle": None, "near": "5.1 seconds"}, "near lags by 00:00:05.1"),
        ({"idle": None}, None),
    ],
)
def test_replica_lag_throttle_names_the_furthest_replica(
    connect: Callable[..., Any], conn: Any, lags: dict[str, str | None], reason: str | None
) -> None:
    """The server has no replicas: a table of that name stands before its view."""
    (schema,) = conn.execute("SELECT current_schema").fetchone()
    conn.execute("CREATE TABLE pg_stat_replication (application_name text, replay_lag interval)")
    for row in lags.items():
        conn.execute(f"INSERT INTO {schema}.pg_stat_replication VALUES (%s, %s)", row)
    shadowed = connect(options=f"-csearch_path={schema},pg_catalog")
    assert replica_lag_throttle(shadowed, timedelta(seconds=5))() == reason


# -- any other -------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["throttles", "stop", "observers"])
@pytest.mark.parametrize("pooled", [False, True], ids=["connection", "pool"])
@pytest.mark.parametrize("autocommit", [True, False], ids=["autocommit", "no autocommit"])
def test_no_transaction_is_open_while_a_callable_runs(
    fenced: Any, database: str, who: str, pooled: bool, autocommit: bool
) -> None:
    states: list[str] = []
    query = "SELECT string_agg(DISTINCT state, ' ') FROM pg_stat_activity WHERE application_name = "

    def look(*_args: Any) -> None:
        states.append(fenced.one(f"{query} 'worker'"))

    options: Any = {"application_name": "worker", "autocommit": autocommit}
    with (
        ConnectionPool(database, kwargs=options, min_size=1, max_size=1, open=True)
        if pooled
        else psycopg.connect(database, **options)
    ) as worker:
        fenced.resume(worker, **{who: look if who == "stop" else [look]})
    assert set(states) == {"idle"}
    assert len(states) >= 5


# -- resting ---------------------------------------------------------------------------------------

SIZE = ChunkSize(initial=100, minimum=100, maximum=100)


def test_pause_is_proportional_to_each_chunk_and_not_at_the_end(conn: Any) -> None:
    made = driven(conn, {"1": [250]}, cost=0.02, chunk_size=SIZE, pause_ratio=0.5)
    assert made.of_job == [*["chunk 1 100", "sleep"] * 3, "finish 1", "claimable vpc"]
    assert [one.seconds for one in made.asked if isinstance(one, Sleep)] == [1, 1, 1]
    made = driven(conn, {"1": [250]}, cost=0.02, chunk_size=SIZE)
    assert "sleep" not in made.log


def test_no_transaction_and_no_connection_is_held_during_a_pause(
    fenced: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would sleep for hours: the test replaces the sleep."""
    rests: list[tuple[float, str]] = []
    options: Any = {"application_name": "worker"}
    with ConnectionPool(database, kwargs=options, min_size=1, max_size=1, open=True) as pool:

        def sleep(seconds: float) -> None:
            with pool.connection(0.1):
                pass
            state = "SELECT state FROM pg_stat_activity WHERE application_name = 'worker'"
            rests.append((seconds, fenced.one(state)))

        pool.wait()
        monkeypatch.setattr("time.sleep", sleep)
        fenced.resume(pool, pause_ratio=1e6)
    assert [state for _, state in rests] == ["idle"] * 4
    assert all(seconds > 1e6 * 1e-6 for seconds, _ in rests)
    fenced.assert_deleted()
