# SPDX-License-Identifier: MIT
"""A deadline for the whole of a run: kept by the client, told to the server, and nobody's fault."""

from __future__ import annotations

import asyncio
import math
import threading
from contextlib import ExitStack, closing, suppress
from datetime import timedelta
from unittest.mock import patch

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, AsyncNullConnectionPool, NullConnectionPool

import batchq
from batchq import (
    ConnectionFailed,
    DeadlineExceeded,
    InvalidBatch,
    Ok,
    Outcome,
    Retry,
    SerializationConflict,
    gather,
    insert,
    sql,
    unique,
)
from batchq.engine.deadline import bound
from batchq.running import waiting
from batchq.testing import proxy
from tests.support.clients import ITEMS, AsyncClient, SyncClient, item, parsed
from tests.support.clock import standing_clock
from tests.support.stalling import STALLING, lock_row
from tests.support.waiting import PATIENCE

from .conftest import AsyncPoolClient, PoolClient

LONG = 3600
SOON = 0.2
"""Seconds until a deadline that is to pass; nothing depends on how exactly it does."""


def setting(name):
    return sql("SELECT current_setting(%(name)s::text)", name=name).scalar(str)


@pytest.fixture
def limit(conn):
    """What bounds the server: the name of the setting."""
    return "transaction_timeout" if conn.info.server_version >= 170000 else "statement_timeout"


class TestTheOption:
    @pytest.mark.parametrize(
        "deadline",
        [0, 0.0, -1, math.nan, math.inf, 10**400, "1", True, timedelta(0), timedelta(days=-1), [1]],
        ids=str,
    )
    def test_what_is_no_positive_finite_number_is_refused(self, client, conn, deadline):
        with pytest.raises(InvalidBatch, match="more than 0 and finite"):
            client.run(item(1), deadline=deadline)
        assert conn.execute("SELECT count(*) FROM item").fetchone() == (0,)

    @pytest.mark.parametrize("deadline", [0.5e9, 1e300, 60, timedelta(days=36500)], ids=str)
    def test_any_other_is_taken(self, client, deadline):
        assert client.run(sql("SELECT 1").scalar(int), deadline=deadline) == 1

    def test_it_cannot_go_with_nested(self, connection):
        connection.execute("BEGIN")
        with pytest.raises(InvalidBatch, match="deadline= is the outer transaction's"):
            connection.run(item(1), nested=True, deadline=1)


class TestTheServer:
    @pytest.mark.parametrize(
        ("own", "inside"),
        [("0", "1h"), ("2h", "1h"), ("1d", "1h"), ("59min", "59min"), ("59999ms", "59999ms")],
    )
    def test_it_is_bounded_by_what_is_left_or_by_the_sessions_own(
        self, connection, limit, own, inside
    ):
        connection.execute(f"SET {limit} = '{own}'")
        with standing_clock():
            assert connection.run(setting(limit), deadline=LONG) == inside
        assert connection.run(setting(limit)) == own

    @pytest.mark.parametrize(("timeout", "statement"), [(60, "1min"), (7200, "2h")])
    def test_it_goes_with_a_timeout_for_statements(self, connection, limit, timeout, statement):
        with standing_clock():
            found = connection.run(
                gather(setting("statement_timeout"), setting(limit)), timeout=timeout, deadline=LONG
            )
        if limit == "statement_timeout":  # the shorter of the two
            assert found == (min(statement, "1min"),) * 2 if timeout == 60 else ("1h",) * 2
        else:
            assert found == (statement, "1h")

    def test_nothing_of_it_is_prepared_and_it_takes_one_flight(self, database, conn):
        conn.execute(ITEMS)
        with proxy(database) as link, SyncClient(link.conninfo(), prepare_threshold=0) as client:
            client.run(item(0), deadline=60)
            link.hold(syncs=2)
            with link.record() as recording:
                client.run(item(1), deadline=61)
        assert parsed(recording) == [b""]
        assert recording.flights == 1

    def test_a_client_that_is_gone_leaves_no_locks_behind(self, database, conn, limit):
        """The server hears nothing more, not even that the connection was closed."""
        if limit == "statement_timeout":
            pytest.skip("before PostgreSQL 17 nothing ends a transaction that waits for its client")
        conn.execute(ITEMS)
        conn.execute("INSERT INTO item VALUES (1, 1)")
        with proxy(database) as link, SyncClient(link.conninfo(), prepare_threshold=None) as client:
            # BEGIN, the limit and the update get there, and not its end.
            link.silence_requests(after=len("PBDE" * 3))
            batch = gather(batchq.update("item", {"size": 2}, {"id": 1}), item(2))
            assert client.attempt(batch, deadline=SOON).outcome is Outcome.UNKNOWN
            # Waits for the lock until the server has ended the other one.
            conn.execute(f"SET lock_timeout = '{PATIENCE}s'")
            conn.execute("UPDATE item SET size = 3")
        assert conn.execute("SELECT id, size FROM item").fetchall() == [(1, 3)]


class TestWhatWasNotSent:
    def test_it_waited_for_the_connection(self, connection, conn):
        held = threading.Event()

        class Hold:
            """Takes the connection's lock, as another run would."""

            def __enter__(self):
                lock = connection.conn.lock
                if isinstance(lock, asyncio.Lock):
                    connection.loop.run(lock.acquire())
                else:
                    lock.acquire()
                held.set()

            def __exit__(self, *_):
                connection.conn.lock.release()

        with Hold():
            answer = connection.attempt(item(1), deadline=SOON)
        assert isinstance(answer.error, DeadlineExceeded)
        assert answer.outcome is Outcome.NOT_SENT
        assert "nothing was sent" in str(answer.error)
        connection.run(item(2))
        assert conn.execute("SELECT id FROM item").fetchall() == [(2,)]

    def test_it_was_over_before_the_first_byte(self, connection, conn, monkeypatch):
        with standing_clock() as clock:
            monkeypatch.setattr("batchq.engine.transaction.closed", lambda *_: clock.pass_by(LONG))
            answer = connection.attempt(item(1), deadline=LONG)
        assert isinstance(answer.error, DeadlineExceeded)
        assert answer.outcome is Outcome.NOT_SENT
        assert not connection.conn.closed
        assert conn.execute("SELECT count(*) FROM item").fetchone() == (0,)


class TestWhatWasSent:
    def test_a_step_that_waits_is_stopped_and_nobody_blamed(self, client, conn, connect):
        holder = connect()
        lock_row(holder)
        answer = client.attempt(STALLING, deadline=SOON)
        assert isinstance(answer.error, DeadlineExceeded)
        assert answer.error is answer.report
        assert answer.outcome is Outcome.ROLLED_BACK
        assert answer.report.step is None
        assert answer.report.violation.sqlstate in {"57014", "25P04"}
        assert isinstance(answer.error.__cause__, psycopg.Error)
        holder.execute("ROLLBACK")
        assert conn.execute("SELECT id FROM item").fetchall() == [(0,)]

    def test_a_mapping_of_the_code_is_for_what_others_do(self, client, connect):
        lock_row(connect())
        batch = STALLING.on(batchq.sqlstate("57014"), LookupError()).on(
            batchq.sqlstate("25P04"), LookupError()
        )
        assert isinstance(client.attempt(batch, deadline=SOON).error, DeadlineExceeded)

    def test_commit_is_bounded_too_which_timeout_does_not(self, client, conn):
        conn.execute(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN PERFORM pg_sleep(new.size); RETURN null; END$$"
        )
        conn.execute(
            "CREATE CONSTRAINT TRIGGER dawdles AFTER INSERT ON item "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dawdle()"
        )
        client.run(item(1, size=1), timeout=0.1)
        answer = client.attempt(item(2, size=PATIENCE), timeout=0.1, deadline=SOON)
        assert isinstance(answer.error, DeadlineExceeded)
        assert answer.outcome is Outcome.ROLLED_BACK
        assert conn.execute("SELECT id FROM item").fetchall() == [(1,)]


class TestTheGrace:
    """The deadline passes when all is sent, and the request to stop gets nowhere."""

    @pytest.fixture(autouse=True)
    def late(self, monkeypatch):
        async def lost(*_):
            pass

        monkeypatch.setattr(waiting, "ask_to_stop", lambda *_: None)
        monkeypatch.setattr(waiting, "ask_to_stop_async", lost)
        with standing_clock() as clock:

            def overtaken(*left):
                command = bound(*left)
                clock.pass_by(LONG)
                return command

            monkeypatch.setattr("batchq.engine.transaction.bound", overtaken)
            yield

    def test_what_was_committed_is_the_result(self, client, conn):
        assert client.run(gather(item(1), setting("lock_timeout")), deadline=LONG) == (None, "0")
        assert conn.execute("SELECT id FROM item").fetchall() == [(1,)]
        client.run(item(2))

    def test_what_the_server_refused_is_what_it_means(self, client, conn):
        conn.execute("INSERT INTO item VALUES (1, 1)")
        batch = insert("item", {"id": 1, "size": 1}).on(unique("item_pkey"), LookupError("taken"))
        with pytest.raises(LookupError, match="taken"):
            client.run(batch, deadline=LONG)
        client.run(item(2))

    def test_a_conflict_is_one(self, client, conflict):
        answer = client.attempt(conflict, deadline=LONG)
        assert isinstance(answer.error, SerializationConflict)
        retried = client.attempt(conflict, deadline=LONG, retry=Retry(attempts=1))
        assert isinstance(retried.error, SerializationConflict)

    def test_there_is_no_other_attempt(self, client, conflict):
        answer = client.attempt(conflict, deadline=LONG, retry=Retry(attempts=5, backoff=0))
        assert is_after_a_conflict(answer, attempts=1)

    def test_what_a_preparation_may_be_to_blame_for_is_not_sent_once_more(self, database, conn):
        conn.execute(ITEMS)
        with SyncClient(database, prepare_threshold=0) as client:
            client.run(item(1))
            client.execute("DEALLOCATE ALL")
            answer = client.attempt(item(2), deadline=LONG)
        assert isinstance(answer.error, DeadlineExceeded)
        assert answer.outcome is Outcome.ROLLED_BACK
        assert answer.report.attempts == 1


@pytest.mark.parametrize("kind", [SyncClient, AsyncClient])
def test_no_deadline_asks_no_clock(database, conn, kind, monkeypatch):
    conn.execute(ITEMS)
    monkeypatch.setattr("batchq.engine.deadline.monotonic", None)
    with kind(database) as client:
        assert isinstance(client.attempt(item(1)), Ok)


class Taken:
    """Takes the only connection of a pool, as another run would."""

    def __init__(self, client):
        self.client = client

    def __enter__(self):
        self.taken = self.client.wait_for(self.client.pool.getconn())

    def __exit__(self, *_):
        self.client.wait_for(self.client.pool.putconn(self.taken))


class Looking:
    """A pool's look at a connection that takes until the test lets it end."""

    def __init__(self):
        self.over = threading.Event()

    def check(self, _):
        assert self.over.wait(PATIENCE)

    async def acheck(self, _):
        if not self.over.is_set():
            await asyncio.Event().wait()  # until it is cancelled


class TestThePool:
    """Waiting for one of its connections is part of the run."""

    def test_it_has_none_to_give(self, pool, conn):
        with Taken(pool):
            answer = pool.attempt(item(1), deadline=SOON)
            assert isinstance(answer.error, DeadlineExceeded)
            assert answer.outcome is Outcome.NOT_SENT
            assert type(answer.error.__cause__).__name__ == "PoolTimeout"
        pool.run(item(2), deadline=LONG)
        assert conn.execute("SELECT id FROM item").fetchall() == [(2,)]

    def test_what_is_shorter_is_the_pools_own_patience(self, pool):
        with Taken(pool):
            pool.pool.timeout = 0.01
            answer = pool.attempt(item(1), deadline=LONG)
        assert isinstance(answer.error, ConnectionFailed)
        assert answer.outcome is Outcome.NOT_SENT

    @pytest.mark.parametrize("kind", [PoolClient, AsyncPoolClient])
    def test_its_look_at_a_connection_is_not_waited_for(self, database, conn, kind):
        """The look is a query, whose answer never comes; then the network is there again."""
        conn.execute(ITEMS)
        with ExitStack() as until_closed:
            link = until_closed.enter_context(proxy(database))
            client = kind(link.conninfo(), check=kind.checks)
            client.run(item(1), deadline=LONG)
            link.silence_answers(after=0)
            answer = client.attempt(item(2), deadline=SOON)
            assert isinstance(answer.error, DeadlineExceeded)
            assert answer.outcome is Outcome.NOT_SENT
        client.close()
        assert conn.execute("SELECT id FROM item").fetchall() == [(1,)]

    async def test_a_task_that_is_cancelled_does_not_wait_for_that_look(self, database, conn):
        conn.execute(ITEMS)
        looking, over = asyncio.Event(), asyncio.Event()

        async def check(_):
            looking.set()
            while not over.is_set():  # as psycopg, which waits for the answer to a cancel request
                with suppress(asyncio.CancelledError):
                    await over.wait()

        async with AsyncConnectionPool(
            database, min_size=1, max_size=1, open=False, check=check
        ) as pool:
            task = asyncio.ensure_future(batchq.arun(pool, item(1)))
            await looking.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as raised:
                await task
            assert raised.value.__notes__[0].endswith("not_sent")
            over.set()
            await batchq.arun(pool, item(2))
        assert conn.execute("SELECT id FROM item").fetchall() == [(2,)]

    @pytest.mark.parametrize("kind", [NullConnectionPool, AsyncNullConnectionPool])
    async def test_a_null_pool_that_connects_is_not_waited_for(self, database, conn, kind):
        conn.execute(ITEMS)
        with proxy(database) as link:
            pool = kind(link.conninfo(), open=False)
            with closing(psycopg.connect(link.conninfo())) as other:
                link.silence_requests(after=0)
                other.pgconn.send_query(b"SELECT 1")
                assert link.fell_silent.wait(PATIENCE)
            if kind is NullConnectionPool:
                with pool:
                    answer = batchq.attempt(pool, item(1), deadline=SOON)
            else:
                async with pool:
                    answer = await batchq.aattempt(pool, item(1), deadline=SOON)
            assert isinstance(answer.error, DeadlineExceeded)
            assert answer.outcome is Outcome.NOT_SENT

    @pytest.mark.parametrize("kind", [PoolClient, AsyncPoolClient])
    def test_what_it_gives_too_late_it_has_back(self, database, conn, kind):
        """The look goes well in the end: the pool's only connection is there for the next one."""
        conn.execute(ITEMS)
        looking = Looking()
        check = looking.check if kind is PoolClient else looking.acheck
        with kind(database, check=check) as client:
            answer = client.attempt(item(1), deadline=SOON)
            assert isinstance(answer.error, DeadlineExceeded)
            looking.over.set()
            client.run(item(2), deadline=LONG)
            client.run(item(3))
        assert conn.execute("SELECT id FROM item").fetchall() == [(2,), (3,)]


@pytest.fixture
def conflict(conn):
    """A batch that is always in conflict."""
    conn.execute(
        "CREATE FUNCTION conflict() RETURNS int LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END$$"
    )
    return sql("SELECT conflict()").scalar(int)


def is_after_a_conflict(answer, *, attempts):
    assert isinstance(answer.error, DeadlineExceeded)
    assert isinstance(answer.error.__cause__, SerializationConflict)
    assert answer.outcome is Outcome.ROLLED_BACK
    assert answer.report.attempts == attempts
    return True


class TestAttempts:
    """All of them together have the time."""

    def test_a_pause_that_would_outlast_the_deadline_is_not_made(self, client, conflict):
        paused = []
        with standing_clock(), patch("tenacity.wait_random_exponential", lambda **_: pause):
            answer = client.attempt(
                conflict,
                deadline=LONG,
                retry=Retry(attempts=5, before_sleep=lambda told: paused.append(told.sleep)),
            )
        assert is_after_a_conflict(answer, attempts=3)
        assert paused == [0, 0]

    def test_what_another_attempt_has_no_time_for_ends_as_the_one_before(self, client, conflict):
        """The deadline passes in the pause."""
        with standing_clock() as clock:
            answer = client.attempt(
                conflict,
                deadline=LONG,
                retry=Retry(attempts=5, backoff=0, before_sleep=lambda _: clock.pass_by(LONG)),
            )
        assert is_after_a_conflict(answer, attempts=1)


def pause(state):
    """How long to sleep, as tenacity asks: in the end for longer than there is time."""
    return LONG if state.attempt_number == 3 else 0
