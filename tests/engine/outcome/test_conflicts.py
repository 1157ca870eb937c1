# SPDX-License-Identifier: MIT
"""Failures that take two transactions, or a clock: deadlock, serialization, statement timeout.

The interleaving is forced: a batch waits in its middle for an advisory lock, the *gate*, until the
other side has done its part, and pg_locks says who waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel

from batchq import (
    Outcome,
    Retry,
    SerializationConflict,
    Statement,
    StatementCanceled,
    gather,
    insert,
    run,
    sql,
    sqlstate,
    update,
)

GATE = 4711
TABLES = """
CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL);
CREATE TABLE log (n int);
INSERT INTO t VALUES (1, 0), (2, 0);
"""


class Side:
    """The other side, and the gate that it keeps."""

    def __init__(self, control: psycopg.Connection[Any], pool: ThreadPoolExecutor) -> None:
        self.control = control
        self._pool = pool
        control.execute("SELECT pg_advisory_lock(%s)", [GATE])

    def start(self, work: Callable[..., Any], *args: Any, **options: Any) -> Future[Any]:
        return self._pool.submit(work, *args, **options)

    def until_waits(self, conn: psycopg.Connection[Any], work: Future[Any]) -> None:
        """Return when the server says that the connection waits for a lock."""
        waits = "SELECT count(*) FROM pg_locks WHERE pid = %s AND NOT granted"
        while not self.control.execute(waits, [conn.info.backend_pid]).fetchone()[0]:
            assert not work.done(), work.result()

    def open_gate(self) -> None:
        self.control.execute("SELECT pg_advisory_unlock(%s)", [GATE])


@pytest.fixture
def side(conn, connect) -> Iterator[Side]:
    conn.execute(TABLES)
    with ThreadPoolExecutor(2) as pool:
        opened = Side(connect(), pool)
        try:
            yield opened
        finally:
            opened.control.close()  # which opens the gate


def count_up(i: int) -> Statement[None]:
    return update("t", {"n": sql("n + 1")}, {"id": i})


def gate() -> Statement[None]:
    return sql("SELECT pg_advisory_xact_lock(%(gate)s)", gate=GATE)


def logged(conn: psycopg.Connection[Any]) -> int:
    return conn.execute("SELECT count(*) FROM log").fetchone()[0]


def test_a_deadlock_is_a_conflict_of_the_step_that_the_server_chose(side, conn, connect):
    other = connect(autocommit=False)
    other.execute("SET deadlock_timeout = '1h'")  # so that the batch is the one to find it
    conn.execute("SET deadlock_timeout = '1ms'")
    broken = count_up(2).label("second")
    batch = gather(insert("log", {"n": 1}), count_up(1), gate(), broken, insert("log", {"n": 2}))

    failing = side.start(run, conn, batch)
    side.until_waits(conn, failing)  # it holds row 1
    other.execute("UPDATE t SET n = 9 WHERE id = 2")
    waiting = side.start(other.execute, "UPDATE t SET n = 9 WHERE id = 1")
    side.until_waits(other, waiting)
    side.open_gate()
    with pytest.raises(SerializationConflict) as caught:
        failing.result()
    waiting.result()
    other.commit()

    error = caught.value
    assert error.violation.sqlstate == "40P01"
    assert error.statement is broken
    assert (error.index, error.path, error.outcome) == (3, "second", Outcome.ROLLED_BACK)
    assert logged(conn) == 0


def test_a_concurrent_update_is_a_conflict_of_the_step_that_met_it(side, conn, connect):
    broken = count_up(1).label("mine")
    batch = gather(insert("log", {"n": 1}), gate(), broken, insert("log", {"n": 2}))

    failing = side.start(run, conn, batch, isolation=IsolationLevel.REPEATABLE_READ)
    side.until_waits(conn, failing)  # its snapshot is taken
    connect().execute("UPDATE t SET n = 9 WHERE id = 1")
    side.open_gate()
    with pytest.raises(SerializationConflict) as caught:
        failing.result()

    error = caught.value
    assert error.violation.sqlstate == "40001"
    assert error.statement is broken
    assert (error.index, error.path, error.outcome) == (2, "mine", Outcome.ROLLED_BACK)
    assert logged(conn) == 0
    assert conn.execute("SELECT n FROM t WHERE id = 1").fetchone() == (9,)


def test_write_skew_under_serializable_is_a_conflict(side, conn, connect):
    other = connect(autocommit=False, isolation_level=None)
    other.isolation_level = IsolationLevel.SERIALIZABLE
    total = sql("SELECT sum(n) FROM t").scalar(int)
    batch = gather(insert("log", {"n": 1}), total, gate(), count_up(1))

    failing = side.start(run, conn, batch, isolation=IsolationLevel.SERIALIZABLE)
    side.until_waits(conn, failing)
    other.execute("SELECT sum(n) FROM t")
    other.execute("UPDATE t SET n = 9 WHERE id = 2")
    other.commit()
    side.open_gate()
    with pytest.raises(SerializationConflict) as caught:
        failing.result()

    assert caught.value.violation.sqlstate == "40001"
    assert caught.value.outcome is Outcome.ROLLED_BACK
    assert logged(conn) == 0


def test_after_a_conflict_the_same_batch_succeeds_when_it_is_run_again(side, conn, connect):
    notified = []
    retry = Retry(attempts=2, backoff=0, before_sleep=notified.append)
    batch = gather(insert("log", {"n": 1}), gate(), count_up(1))

    running = side.start(run, conn, batch, isolation=IsolationLevel.REPEATABLE_READ, retry=retry)
    side.until_waits(conn, running)
    connect().execute("UPDATE t SET n = 9 WHERE id = 1")
    side.open_gate()
    running.result()

    assert [one.attempt for one in notified] == [1]
    assert logged(conn) == 1
    assert conn.execute("SELECT n FROM t WHERE id = 1").fetchone() == (10,)


@pytest.mark.parametrize("timeout", [0.3, timedelta(milliseconds=300)])
@pytest.mark.parametrize("threshold", [None, 0])
def test_statement_over_its_timeout_is_canceled_and_named(side, conn, timeout, threshold):
    conn.prepare_threshold = threshold
    broken = sql("SELECT pg_sleep(60)").label("slow")
    batch = gather(insert("log", {"n": 1}), broken, insert("log", {"n": 2}))
    with pytest.raises(StatementCanceled) as caught:
        run(conn, batch, timeout=timeout)
    error = caught.value
    assert error.violation.sqlstate == "57014"
    assert error.statement is broken
    assert (error.index, error.path, error.outcome) == (1, "slow", Outcome.ROLLED_BACK)
    assert '.on(sqlstate("57014"), ' in str(error)
    assert logged(conn) == 0

    with pytest.raises(TimeoutError):
        run(conn, batch.on(sqlstate("57014"), TimeoutError), timeout=timeout)


def test_a_timeout_is_for_the_batch_alone(conn):
    conn.execute("SET statement_timeout = '1min'")
    setting = sql("SELECT current_setting('statement_timeout')").scalar(str)
    assert run(conn, setting, timeout=20) == "20s"
    assert run(conn, setting) == "1min"
    with pytest.raises(StatementCanceled):
        run(conn, gather(setting, sql("SELECT pg_sleep(60)")), timeout=0.001)
    assert run(conn, setting) == "1min"


def test_the_wait_for_a_lock_counts_as_well(side, conn, connect):
    holder = connect(autocommit=False)
    holder.execute("UPDATE t SET n = 1 WHERE id = 1")
    locked = sql("SELECT n FROM t WHERE id = 1 FOR UPDATE").one(tuple)
    with pytest.raises(StatementCanceled) as caught:
        run(conn, gather(insert("log", {"n": 1}), locked), timeout=0.3)
    assert caught.value.statement is locked
    assert caught.value.violation.sqlstate == "57014"
