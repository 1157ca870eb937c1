# SPDX-License-Identifier: MIT
"""Reasons to wait: a query's, replicas that are behind, a flag; and resting between chunks."""

from __future__ import annotations

import threading
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
from tests.support.fake_jobs import Imagined
from tests.support.worker_driver import driven


@pytest.fixture
def fenced(estate: Any) -> Any:
    estate.fence()
    return estate


# -- asking ----------------------------------------------------------------------------------------


@pytest.fixture
def pause(conn: psycopg.Connection[Any]) -> None:
    conn.execute("CREATE TABLE pause (id int, who text)")


@pytest.mark.usefixtures("pause")
def test_the_first_row_of_a_query_is_the_reason_and_no_row_is_none(conn: Any) -> None:
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
def test_a_reason_is_what_the_database_says_as_text(conn: Any, value: Any, reason: str) -> None:
    assert query_throttle(conn, f"SELECT {value} AS why")() == reason  # type: ignore[arg-type]


def test_a_throttle_changes_nothing(conn: Any) -> None:
    conn.execute("CREATE TABLE asked (at int)")
    with pytest.raises(batchq.BatchError, match="25006"):
        query_throttle(conn, "INSERT INTO asked VALUES (1) RETURNING 'asked'")()
    assert conn.execute("SELECT count(*) FROM asked").fetchone() == (0,)


@pytest.mark.usefixtures("pause")
@pytest.mark.parametrize("pooled", [False, True], ids=["connection", "pool"])
@pytest.mark.parametrize("autocommit", [True, False], ids=["autocommit", "no autocommit"])
def test_a_query_may_be_asked_on_what_is_resumed(
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
    fenced.assert_gone()


def test_a_query_that_fails_ends_the_activation_and_the_job_is_free(fenced: Any) -> None:
    """The database cannot be asked; whether there is a reason is not known."""
    report = fenced.resume(throttles=[query_throttle(fenced.conn, "SELECT who FROM nowhere")])
    assert report.stop_reason is StopReason.FAILED
    assert "42P01" in report.detail
    assert fenced.job("lease_until, rows_done") == (None, 0)


# -- replicas --------------------------------------------------------------------------------------


def test_without_replicas_none_is_behind(conn: Any) -> None:
    assert replica_lag_throttle(conn, timedelta(0))() is None


@pytest.mark.parametrize(
    ("lags", "reason"),
    [
        ({"near": "2 seconds"}, None),
        ({"near": "2 seconds", "far": "5 seconds"}, None),
        ({"near": "6 seconds", "far": "1 hour", "between": "1 minute"}, "far is 01:00:00 behind"),
        ({"idle": None, "near": "5.1 seconds"}, "near is 00:00:05.1 behind"),
        ({"idle": None}, None),
    ],
)
def test_the_replica_that_is_furthest_behind_is_the_reason(
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


def test_a_flag_holds_it_back_and_the_first_reason_is_the_one_that_counts(fenced: Any) -> None:
    flag, asked = threading.Event(), list[str]()
    throttles: Any = [
        lambda: "flag" if flag.is_set() else None,
        lambda: asked.append("second"),
        flag.set,
    ]
    report = fenced.resume(throttles=throttles)
    assert (report.stop_reason, report.detail, report.chunks) == (StopReason.THROTTLED, "flag", 1)
    assert asked == ["second"]


@pytest.mark.parametrize("who", ["throttles", "stop", "observers"])
def test_no_transaction_is_open_while_somebody_elses_code_runs(
    fenced: Any, database: str, who: str
) -> None:
    states: list[str] = []

    def look(*_told: Any) -> None:
        states.append(
            fenced.one("SELECT state FROM pg_stat_activity WHERE application_name = 'worker'")
        )

    with psycopg.connect(database, application_name="worker", autocommit=False) as worker:
        fenced.resume(worker, **{who: look if who == "stop" else [look]})
    assert set(states) == {"idle"}
    assert len(states) >= 5


# -- resting ---------------------------------------------------------------------------------------

SIZE = ChunkSize(initial=100, minimum=100, maximum=100)


def test_it_rests_after_each_chunk_in_proportion_to_it_and_not_at_the_end() -> None:
    made = driven(Imagined({"1": [250]}, cost=0.02), chunk_size=SIZE, pause_ratio=0.5)
    assert made.of_job == [*["chunk 1 100", "sleep"] * 3, "finish 1", "claimable vpc"]
    assert [one.seconds for one in made.asked if isinstance(one, Sleep)] == [1, 1, 1]
    made = driven(Imagined({"1": [250]}, cost=0.02), chunk_size=SIZE)
    assert "sleep" not in made.said


def test_while_it_rests_no_transaction_is_open_and_no_connection_is_held(
    fenced: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would sleep for hours: the sleep is ours."""
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
    fenced.assert_gone()
