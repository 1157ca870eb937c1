# SPDX-License-Identifier: MIT
"""Running again on another connection of a pool: what has kept nothing and may succeed, and nothing
else. On a connection of the caller's no other one is taken."""

from __future__ import annotations

import asyncio
from inspect import iscoroutinefunction

import psycopg
import psycopg_pool
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

import batchq
from batchq import ConnectionFailed, Outcome, OutcomeUnknown, Retry, sql
from batchq.result import Ok, aattempt, attempt
from batchq.testing import proxy
from tests.support.blocked_batch import BLOCKED_BATCH, lock_row, once_blocked
from tests.support.clients import ITEMS, item
from tests.support.lock_waits import until_readable

READ = sql("SELECT 1").scalar(int)
CONFLICT = sql("SELECT conflict()")


def retry(attempts=3, retries=None, **options):
    hook = None if retries is None else retries.append
    return Retry(attempts=attempts, **{"backoff": 0, "before_sleep": hook, **options})


def ids(conn):
    return [key for (key,) in conn.execute("SELECT id FROM item WHERE id > 0 ORDER BY id")]


@pytest.fixture
def conflict(conn):
    conn.execute(
        "CREATE FUNCTION conflict() RETURNS int LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END$$"
    )


def terminate(conn, *pids):
    for pid in pids:
        conn.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])


def fail(pool, errors):
    """Let the pool raise these, one after the other, and then do its work; count the calls."""
    own, left, asked = pool.getconn, list(errors), []

    def getconn(*args, **kwargs):
        asked.append(args)
        if left:
            raise left.pop(0)
        return own(*args, **kwargs)

    async def agetconn(*args, **kwargs):
        asked.append(args)
        if left:
            raise left.pop(0)
        return await own(*args, **kwargs)

    pool.getconn = agetconn if iscoroutinefunction(own) else getconn
    return asked


class TestConnectionsThatWereClosedWhileIdle:
    """They do not count as attempts: the 17th is tried after 16 of them."""

    SIZE = 16

    def test_do_not_use_up_the_attempts(self, database, conn):
        conn.execute(ITEMS)
        retries = []
        with ConnectionPool(database, min_size=self.SIZE, open=True) as pool:
            pool.wait()
            idle = [pool.getconn() for _ in range(self.SIZE)]
            terminate(conn, *(one.info.backend_pid for one in idle))
            for one in idle:
                until_readable(one)
                pool.putconn(one)
            assert isinstance(attempt(pool, item(1), retry=retry(2, retries)), Ok)
        assert retries == []
        assert ids(conn) == [1]

    async def test_nor_those_of_tasks(self, database, conn):
        conn.execute(ITEMS)
        retries = []
        async with AsyncConnectionPool(database, min_size=self.SIZE, open=False) as pool:
            await pool.wait()
            idle = [await pool.getconn() for _ in range(self.SIZE)]
            terminate(conn, *(one.info.backend_pid for one in idle))
            for one in idle:
                until_readable(one)
                await pool.putconn(one)
            answers = await asyncio.gather(
                *(aattempt(pool, item(n), retry=retry(1, retries)) for n in range(1, 5))
            )
            assert all(isinstance(answer, Ok) for answer in answers)
        assert retries == []
        assert ids(conn) == [1, 2, 3, 4]

    def test_are_reported_to_who_asked_for_no_more_attempts(self, pool, conn):
        terminate(conn, pool.run(sql("SELECT pg_backend_pid()").scalar(int)))
        answer = pool.attempt(item(1))
        assert type(answer.error) is ConnectionFailed
        assert answer.outcome is Outcome.NOT_SENT
        pool.run(item(2))
        assert ids(conn) == [2]

    def test_end_the_run_if_no_other_is_open(self, pool, conn):
        """As many as the pool may hold do not count as attempts; the next one does."""
        given = []
        own = pool.pool.getconn

        def getconn(*args, **kwargs):
            given.append(own(*args, **kwargs))
            given[-1].pgconn.finish()
            return given[-1]

        async def agetconn(*args, **kwargs):
            given.append(await own(*args, **kwargs))
            given[-1].pgconn.finish()
            return given[-1]

        pool.pool.getconn = agetconn if iscoroutinefunction(own) else getconn
        retries = []
        answer = pool.attempt(item(1), retry=retry(3, retries))
        assert type(answer.error) is ConnectionFailed
        assert answer.outcome is Outcome.NOT_SENT
        assert len(given) == 3 * (1 + pool.pool.max_size)
        assert [one.attempt for one in retries] == [1, 2]
        assert answer.report.attempts == 3
        assert ids(conn) == []


class TestASessionThatTheServerEnds:
    def test_before_commit_is_tried_again_on_another_connection(self, pool, conn, connect):
        holder = connect()
        lock_row(holder)
        retries = []
        pid = pool.run(sql("SELECT pg_backend_pid()").scalar(int))

        def end():
            terminate(conn, pid)
            holder.execute("ROLLBACK")

        with once_blocked(conn, pid, end):
            pool.run(BLOCKED_BATCH, retry=retry(2, retries))
        assert [type(one.report) for one in retries] == [ConnectionFailed]
        assert retries[0].report.outcome is Outcome.ROLLED_BACK
        assert retries[0].report.violation.sqlstate == "57P01"
        assert ids(conn) == [1, 3]

    def test_on_a_connection_of_ones_own_is_raised_after_one_attempt(
        self, connection, conn, connect
    ):
        lock_row(connect())
        retries = []
        pid = connection.conn.info.backend_pid
        with once_blocked(conn, pid, lambda: terminate(conn, pid)):
            answer = connection.attempt(BLOCKED_BATCH, retry=retry(3, retries))
        assert type(answer.error) is ConnectionFailed
        assert (answer.report.attempts, retries) == (1, [])
        again = connection.attempt(item(1), retry=retry(3, retries))
        assert again.outcome is Outcome.NOT_SENT
        assert (again.report.attempts, retries) == (1, [])

    def test_unknown_outcome_is_not_tried_again(self, database, conn):
        conn.execute(ITEMS)
        retries = []
        with (
            proxy(database) as link,
            ConnectionPool(link.conninfo(), min_size=1, max_size=1, open=True) as pool,
        ):
            pool.wait()
            link.cut_answers(after=2)
            answer = attempt(pool, item(1), retry=retry(3, retries))
        assert type(answer.error) is OutcomeUnknown
        assert retries == []


class TestAPoolThatGivesNoConnection:
    @pytest.mark.parametrize(
        "error",
        [
            psycopg.OperationalError("connection refused"),
            psycopg.errors.CannotConnectNow("the database system is starting up"),
            psycopg.errors.TooManyConnections("sorry, too many clients already"),
            psycopg.errors.ConnectionTimeout("connection timeout expired"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_because_it_cannot_connect_is_asked_again(self, pool, conn, error):
        retries = []
        asked = fail(pool.pool, [error, error])
        pool.run(item(1), retry=retry(3, retries))
        assert [one.report.__cause__ for one in retries] == [error, error]
        assert len(asked) == 3
        assert ids(conn) == [1]

    @pytest.mark.parametrize(
        "error",
        [
            psycopg_pool.PoolTimeout("couldn't get a connection after 30.00 sec"),
            psycopg_pool.PoolClosed("the pool 'p' is closed"),
            psycopg_pool.TooManyRequests("the pool 'p' has already 9 requests waiting"),
            RuntimeError("Event loop is closed"),
            ZeroDivisionError("of a hook"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_for_a_reason_of_its_own_is_not(self, pool, error):
        retries = []
        asked = fail(pool.pool, [error])
        answer = pool.attempt(item(1), retry=retry(3, retries))
        assert answer.error.__cause__ is error
        assert answer.report.attempts == 1
        assert len(asked) == 1
        assert retries == []


class Hook(Exception):
    pass


@pytest.mark.usefixtures("conflict", "items")
class TestBetweenTwoAttempts:
    def test_a_hook_that_fails_ends_the_run_with_the_report_as_its_cause(self, client):
        bug = Hook("of the hook")

        def hook(_):
            raise bug

        answer = client.attempt(CONFLICT, retry=retry(before_sleep=hook))
        assert answer.error is bug
        assert bug.__cause__ is answer.report
        assert type(answer.report) is batchq.SerializationConflict
        assert answer.outcome is Outcome.ROLLED_BACK
        assert answer.report.attempts == 1

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
    def test_an_interrupt_passes_with_a_note(self, client, error):
        def hook(_):
            raise error

        with pytest.raises(error) as raised:
            client.attempt(CONFLICT, retry=retry(before_sleep=hook))
        assert raised.value.__notes__ == [
            "batchq: interrupted; the outcome of the batch is rolled_back"
        ]

    async def test_a_task_is_cancelled_while_it_sleeps(self, database):
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as mine:
            loop = asyncio.get_running_loop()
            policy = retry(before_sleep=lambda _: loop.call_soon(task.cancel), backoff=600)
            task = asyncio.ensure_future(batchq.arun(mine, CONFLICT, retry=policy))
            with pytest.raises(asyncio.CancelledError) as raised:
                await task
        assert raised.value.__notes__ == [
            "batchq: interrupted; the outcome of the batch is rolled_back"
        ]

    def test_a_batch_that_cannot_be_sent_is_raised_as_ever(self, client):
        with pytest.raises(batchq.InvalidBatch):
            client.attempt(sql("SELECT %(x)s", x=object()), retry=retry())
