# SPDX-License-Identifier: MIT
"""Errors and limits of PgBouncer itself: the outcome of the batch is true in each case."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import IsolationLevel
from psycopg_pool import ConnectionPool

from batchq import ConnectionFailed, Outcome, OutcomeUnknown, gather, insert, run, sql
from batchq.language.builders import raw_sql
from batchq.result import Ok, attempt
from tests.support.pgbouncer import SLOW_QUERY

SLOW = raw_sql(SLOW_QUERY)


def item(key):
    return insert("item", {"id": key, "size": 1})


@pytest.fixture(params=[None, 0], ids=["unprepared", "prepared"])
def threshold(request):
    return request.param


def connected(pooler, threshold):
    return psycopg.connect(pooler.conninfo(), autocommit=True, prepare_threshold=threshold)


def until(pooler, command, is_so):
    """Ask its console until something is so; pytest's own watchdog ends it when it never is."""
    while not any(is_so(row) for row in pooler.console(command)):
        pass


def is_pooled(row):
    return row["database"] == "pooled"


def test_query_timeout_leaves_the_outcome_unknown(start, conn, threshold):
    """It cuts the server off and reports that to the client; COMMIT may have run."""
    pooler = start(query_timeout=1)
    with connected(pooler, threshold) as client:
        answer = attempt(client, gather(item("a"), SLOW))
        assert isinstance(answer.error, OutcomeUnknown)
        assert answer.report.step is None
        assert client.closed
    with connected(pooler, threshold) as client:
        answer = attempt(client, SLOW, read_only=True)
        assert answer.outcome is Outcome.ROLLED_BACK


def test_kill_leaves_the_outcome_unknown(start, conn, threshold):
    pooler = start()
    with connected(pooler, threshold) as client, ThreadPoolExecutor(1) as threads:
        work = threads.submit(attempt, client, gather(item("a"), SLOW))
        until(pooler, "SHOW SERVERS", lambda row: is_pooled(row) and row["state"] == "active")
        pooler.console("KILL pooled")
        answer = work.result()
        assert answer.outcome is Outcome.UNKNOWN
        assert client.closed


def test_paused_pooler_lets_a_batch_wait_for_resume(start, conn, threshold):
    pooler = start()
    with connected(pooler, threshold) as client, ThreadPoolExecutor(1) as threads:
        run(client, item("a"))
        pooler.console("PAUSE pooled")
        work = threads.submit(attempt, client, item("b"))
        until(pooler, "SHOW POOLS", lambda row: is_pooled(row) and row["cl_waiting"])
        pooler.console("RESUME pooled")
        assert isinstance(work.result(), Ok)


def test_replaced_server_connection_is_not_a_failure(start, conn, threshold):
    """RECONNECT and server_lifetime: what was prepared went with the old one."""
    pooler = start(default_pool_size=1)
    with connected(pooler, threshold) as client:
        pids = set()
        for n in range(6):
            made = gather(item(f"{n}"), sql("SELECT pg_backend_pid()").scalar(int))
            pids.add(run(client, made)[1])
            pooler.console("RECONNECT pooled")
        assert len(pids) == 6


def test_client_beyond_the_limit_is_a_failed_connection(start):
    pooler = start(max_client_conn=1)
    with connected(pooler, None):
        waits = {"min_size": 0, "max_size": 1, "timeout": 1.0, "reconnect_timeout": 0.1}
        with ConnectionPool(pooler.conninfo(), open=True, **waits) as pool:
            answer = attempt(pool, item("a"))
    assert isinstance(answer.error, ConnectionFailed)
    assert answer.outcome is Outcome.NOT_SENT


def test_setting_of_a_batch_ends_with_it(start, conn, threshold):
    """The next client on the same server connection has its own."""
    pooler = start(default_pool_size=1)
    seen = sql(
        "SELECT current_setting('statement_timeout'), current_setting('transaction_isolation'),"
        " current_setting('transaction_read_only')"
    ).one(tuple)
    with connected(pooler, threshold) as one, connected(pooler, threshold) as other:
        for _ in range(3):
            options = {"timeout": 7, "isolation": IsolationLevel.SERIALIZABLE, "read_only": True}
            assert run(one, seen, **options) == ("7s", "serializable", "on")
            assert run(other, seen) == ("0", "read committed", "off")


def test_batch_after_a_server_restart_fails_truly_or_runs(restartable, lane, threshold):
    from tests.support.pgbouncer import pgbouncer  # noqa: PLC0415

    conninfo = restartable.conninfo(tcp=True)
    with psycopg.connect(conninfo, autocommit=True) as direct:
        direct.execute("CREATE TABLE item (id text PRIMARY KEY, size int)")
    with (
        pgbouncer(lane.program, conninfo) as pooler,
        connected(pooler, threshold) as client,
    ):
        run(client, item("a"))
        restartable.restart()
        answers = []
        for n in range(5):
            with connected(pooler, threshold) as again:
                answers.append(attempt(again, item(f"{n}")))
    with psycopg.connect(conninfo, autocommit=True) as direct:
        kept = {key for (key,) in direct.execute("SELECT id FROM item")}
    assert isinstance(answers[-1], Ok)
    for n, answer in enumerate(answers):
        outcome = Outcome.COMMITTED if isinstance(answer, Ok) else answer.outcome
        assert outcome is Outcome.UNKNOWN or (f"{n}" in kept) == (outcome is Outcome.COMMITTED)
