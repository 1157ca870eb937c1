# SPDX-License-Identifier: MIT
"""Whatever ends a run, between the call and its answer, is a BatchError with an outcome: what a
pool, psycopg, an event loop or a hook of the caller's raises. An interrupt says it in a note."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import threading
from contextlib import contextmanager
from inspect import iscoroutinefunction
from unittest.mock import patch
from weakref import ref

import psycopg
import psycopg_pool
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

import batchq
from batchq import ConnectionFailed, DecodeFailed, InvalidBatch, Outcome, OutcomeUnknown, sql
from batchq.result import Ok, aattempt, attempt
from batchq.running import waiting
from tests.support.blocked_batch import BLOCKED_BATCH, lock_row, once_blocked
from tests.support.clients import item
from tests.support.flights import wrapped_wait

READ = sql("SELECT 1").scalar(int)
BROKEN = sql("SELECT 1/0")
UNSENDABLE = sql("SELECT %(x)s", x=object())
NOTE = "batchq: interrupted; the outcome of the batch is "


class Hook(Exception):
    """Raised by a hook of the caller's."""


ERRORS = [
    psycopg_pool.PoolTimeout("couldn't get a connection after 0.10 sec"),
    psycopg_pool.PoolClosed("the pool 'p' is already closed"),
    psycopg_pool.TooManyRequests("the pool 'p' has already 1 requests waiting"),
    psycopg.OperationalError("connection refused"),
    psycopg.errors.InvalidPassword("password authentication failed"),
    psycopg.errors.ConnectionTimeout("connection timeout expired"),
    psycopg.InterfaceError("bad"),
    psycopg.ProgrammingError("connection left in status INTRANS by configure function"),
    ValueError("can't return connection to pool"),
    RuntimeError("Event loop is closed"),
    OSError(24, "Too many open files"),
    TimeoutError("of a pool of the caller's"),
    Hook("a secret"),
]
INTERRUPTS = [KeyboardInterrupt(), SystemExit(3), asyncio.CancelledError(), GeneratorExit()]
each_error = pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
each_interrupt = pytest.mark.parametrize(
    "error", INTERRUPTS, ids=lambda error: type(error).__name__
)


def fail(pool, method, error, *, done=False):
    """Let a method of the pool raise, having done its work or not."""
    own = getattr(pool, method)

    def raising(*args, **kwargs):
        if done:
            own(*args, **kwargs)
        close(*args)
        raise error

    async def araising(*args, **kwargs):
        if done:
            await own(*args, **kwargs)
        close(*args)
        raise error

    def close(*connections):
        for connection in connections:
            if not done:  # no other code does
                connection.pgconn.finish()

    setattr(pool, method, araising if iscoroutinefunction(own) else raising)


def ids(conn):
    return [key for (key,) in conn.execute("SELECT id FROM item WHERE id > 0 ORDER BY id")]


async def until_a_request_waits(pool):
    while not pool.get_stats()["requests_waiting"]:  # noqa: ASYNC110  the pool sets no event
        await asyncio.sleep(0)


def is_not_sent(answer, cause):
    assert type(answer.error) is ConnectionFailed
    assert answer.error is answer.report
    assert answer.outcome is Outcome.NOT_SENT
    assert answer.error.__cause__ is cause
    assert answer.report.step is None
    return True


class TestAPoolThatGivesNoConnection:
    @each_error
    def test_is_a_report_that_nothing_was_sent(self, pool, conn, error):
        fail(pool.pool, "getconn", error)
        answer = pool.attempt(item(1))
        assert is_not_sent(answer, error)
        assert type(error).__name__ in str(answer.error)
        assert "secret" not in str(answer.error)
        with pytest.raises(ConnectionFailed):
            pool.run(item(1))
        assert ids(conn) == []

    @each_interrupt
    def test_lets_an_interrupt_pass_with_a_note(self, pool, conn, error):
        error = type(error)(*error.args)
        fail(pool.pool, "getconn", error)
        with pytest.raises(type(error)) as raised:
            pool.attempt(item(1))
        assert raised.value.__notes__ == [f"{NOTE}not_sent"]
        assert ids(conn) == []

    def test_says_that_it_is_closed(self, pool):
        pool.disconnect()
        answer = pool.attempt(READ)
        assert is_not_sent(answer, answer.error.__cause__)
        assert isinstance(answer.error.__cause__, psycopg_pool.PoolClosed)
        assert "is already closed" in str(answer.error)

    def test_says_that_it_is_not_open_yet(self, database):
        pool = ConnectionPool(database, open=False)
        answer = attempt(pool, READ)
        assert is_not_sent(answer, answer.error.__cause__)
        assert "is not open yet" in str(answer.error)

    def test_says_how_long_it_has_waited(self, pool):
        pool.pool.timeout = 0
        answer = pool.attempt(READ)
        assert is_not_sent(answer, answer.error.__cause__)
        assert isinstance(answer.error.__cause__, psycopg_pool.PoolTimeout)
        assert "after 0.00 sec" in str(answer.error)

    async def test_says_that_too_many_wait(self, database):
        settings = {"min_size": 1, "max_size": 1, "max_waiting": 1}
        async with AsyncConnectionPool(database, open=False, **settings) as pool:
            async with pool.connection():
                first = asyncio.ensure_future(batchq.arun(pool, READ))
                await until_a_request_waits(pool)
                answer = await aattempt(pool, READ)
                assert is_not_sent(answer, answer.error.__cause__)
                assert isinstance(answer.error.__cause__, psycopg_pool.TooManyRequests)
            assert await first == 1

    async def test_lets_a_task_be_cancelled_that_waits_for_it(self, database):
        async with AsyncConnectionPool(database, min_size=1, max_size=1, open=False) as pool:
            async with pool.connection():
                second = asyncio.ensure_future(batchq.arun(pool, READ))
                await until_a_request_waits(pool)
                second.cancel()
                with pytest.raises(asyncio.CancelledError) as raised:
                    await second
            assert raised.value.__notes__ == [f"{NOTE}not_sent"]
            assert await batchq.arun(pool, READ) == 1

    def test_lets_a_signal_pass_that_comes_while_it_is_waited_for(self, database):
        main, handled = threading.main_thread().ident, threading.Event()

        def handle(*_):
            if not handled.is_set():
                handled.set()
                raise KeyboardInterrupt

        def interrupt():
            while not pool.get_stats()["requests_waiting"]:
                pass
            # Python does not notice one that comes just before it waits for a lock.
            while not handled.wait(0.01):
                signal.pthread_kill(main, signal.SIGINT)

        before = signal.signal(signal.SIGINT, handle)
        try:
            pool = ConnectionPool(database, min_size=1, max_size=1, open=True)
            with pool, pool.connection():
                thread = threading.Thread(target=interrupt, daemon=True)
                thread.start()
                with pytest.raises(KeyboardInterrupt) as raised:
                    attempt(pool, READ)
                thread.join()
        finally:
            signal.signal(signal.SIGINT, before)
        assert raised.value.__notes__ == [f"{NOTE}not_sent"]

    def test_has_a_hook_that_fails(self, database):
        def hook(_):
            raise Hook("a secret")

        for name, settings in {
            "check": {"check": hook, "timeout": 0.01},
            "configure": {"configure": hook},
        }.items():
            pools = psycopg_pool.NullConnectionPool(database, open=True, **settings)
            with pools as pool:
                answer = attempt(pool, READ)
                assert is_not_sent(answer, answer.error.__cause__)
                cause = psycopg_pool.PoolTimeout if name == "check" else Hook
                assert isinstance(answer.error.__cause__, cause)

    def test_gives_one_in_a_transaction(self, database):
        """A hook's doing, where the connections are not in autocommit."""
        ways = {"check": lambda conn: conn.execute("SELECT 1")}
        with ConnectionPool(database, min_size=1, max_size=1, open=True, **ways) as pool:
            for _ in range(2):
                with pytest.raises(InvalidBatch, match="INTRANS") as raised:
                    attempt(pool, READ)
                assert "check=" in raised.value.__notes__[0]
            pool._check = ConnectionPool.check_connection
            assert batchq.run(pool, READ) == 1

    def test_is_none_when_it_can_do_half_of_it(self):
        class Half:
            def getconn(self):
                raise AssertionError

        with pytest.raises(TypeError, match="or a pool, not a Half"):
            attempt(Half(), READ)

    def test_cannot_connect(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        nowhere = f"host=127.0.0.1 port={port}"
        with psycopg_pool.NullConnectionPool(nowhere, open=True) as pool:
            answer = attempt(pool, READ)
        assert is_not_sent(answer, answer.error.__cause__)
        assert isinstance(answer.error.__cause__, psycopg.OperationalError)


def test_report_is_freed_with_its_holder(pool):
    """No traceback keeps it in a circle, and the connection of the frames with it."""
    fail(pool.pool, "getconn", psycopg.OperationalError("connection refused"))
    gc.disable()
    try:
        report = ref(pool.attempt(READ).report)
        assert report() is None
    finally:
        gc.enable()


class TestAPoolThatDoesNotTakeItsConnectionBack:
    """What became of the batch is what it was."""

    @each_error
    @pytest.mark.parametrize("done", [True, False], ids=["taken", "not taken"])
    def test_after_a_commit_the_result_is_given(self, pool, conn, error, done, caplog):
        fail(pool.pool, "putconn", error, done=done)
        answer = pool.attempt(batchq.gather(item(1), READ))
        assert isinstance(answer, Ok)
        assert answer.value == (None, 1)
        assert ids(conn) == [1]
        assert [record.name for record in caplog.records if record.name == "batchq"] == ["batchq"]

    def test_after_a_failure_its_report_is_given(self, pool):
        fail(pool.pool, "putconn", Hook(), done=True)
        answer = pool.attempt(BROKEN)
        assert answer.report.violation.sqlstate == "22012"
        assert answer.outcome is Outcome.ROLLED_BACK

    def test_value_that_could_not_be_sent_is_named(self, pool):
        fail(pool.pool, "putconn", Hook(), done=True)
        with pytest.raises(InvalidBatch, match="x"):
            pool.attempt(UNSENDABLE)

    @each_interrupt
    @pytest.mark.parametrize(
        ("batch", "outcome"),
        [(item(1), "committed"), (BROKEN, "rolled_back"), (UNSENDABLE, "not_sent")],
        ids=["committed", "rolled back", "not sent"],
    )
    def test_an_interrupt_passes_with_a_note(self, pool, conn, error, batch, outcome):
        error = type(error)(*error.args)
        fail(pool.pool, "putconn", error, done=True)
        with pytest.raises(type(error)) as raised:
            pool.attempt(batch)
        assert raised.value.__notes__ == [NOTE + outcome]
        assert ids(conn) == ([1] if outcome == "committed" else [])


@contextmanager
def wait_fails(error):
    def wait(*_, **__):
        raise error

    async def await_(*_, **__):
        raise error

    with patch.object(waiting, "wait", wait), patch.object(waiting, "wait_async", await_):
        yield


class TestWaitingThatFails:
    """Before the first byte nothing was sent; after it the outcome is unknown."""

    @each_error
    def test_before_the_first_byte(self, connection, conn, error):
        with wait_fails(error):
            answer = connection.attempt(item(1))
        assert is_not_sent(answer, error)
        assert "secret" not in str(answer.error)
        assert ids(conn) == []
        assert connection.run(READ) == 1

    @each_error
    def test_after_the_first_byte(self, connection, error):
        def failing(gen):
            yield next(gen)
            raise error

        with wrapped_wait(failing):
            answer = connection.attempt(item(1))
        assert isinstance(answer.error, OutcomeUnknown)
        assert answer.outcome is Outcome.UNKNOWN
        cause = answer.error.__cause__
        assert error in (cause, cause.__cause__)  # psycopg takes an OSError for a lost link
        assert connection.conn.closed

    @each_error
    def test_after_the_answer(self, connection, conn, error):
        """The answer counts, whatever happens after it."""

        def failing(gen):
            yield from gen
            raise error

        with wrapped_wait(failing):
            answer = connection.attempt(batchq.gather(item(1), READ))
        assert isinstance(answer, Ok)
        assert answer.value == (None, 1)
        with wrapped_wait(failing):
            again = connection.attempt(item(1).on(batchq.unique("item_pkey"), Hook("taken")))
        assert isinstance(again.error, Hook)
        assert again.outcome is Outcome.ROLLED_BACK
        assert ids(conn) == [1]

    async def test_lock_of_another_loop_is_an_error(self, database):
        async with await psycopg.AsyncConnection.connect(database) as mine:
            lock = asyncio.Lock()
            await lock.acquire()

            def bind():
                async def contend():
                    contender = asyncio.ensure_future(lock.acquire())
                    await asyncio.sleep(0)
                    contender.cancel()

                asyncio.run(contend())

            await asyncio.to_thread(bind)
            own, mine.lock = mine.lock, lock
            answer = await aattempt(mine, READ)
            mine.lock = own
            assert is_not_sent(answer, answer.error.__cause__)
            assert isinstance(answer.error.__cause__, RuntimeError)


def hang_up(conn):
    """End the link under the connection's feet."""
    with socket.socket(fileno=os.dup(conn.pgconn.socket)) as link:
        link.shutdown(socket.SHUT_RDWR)


ENDS = {"the connection": lambda conn: conn.pgconn.finish(), "its socket": hang_up}


class TestConnectionClosedByOtherCode:
    @pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
    @pytest.mark.usefixtures("items")
    def test_while_a_step_waits_the_outcome_is_unknown(self, connect, conn, end):
        lock_row(connect())
        mine = connect()
        with once_blocked(conn, mine.info.backend_pid, lambda: end(mine)):
            answer = attempt(mine, BLOCKED_BATCH)
        assert isinstance(answer.error, OutcomeUnknown)
        assert isinstance(answer.error.__cause__, psycopg.Error)
        assert mine.closed

    @pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
    @pytest.mark.usefixtures("items")
    def test_so_it_is_for_a_task(self, database, connect, conn, end):
        lock_row(connect())

        async def attempt():
            mine = await psycopg.AsyncConnection.connect(database, autocommit=True)
            loop = asyncio.get_running_loop()
            with once_blocked(
                conn, mine.info.backend_pid, lambda: loop.call_soon_threadsafe(end, mine)
            ):
                answer = await aattempt(mine, BLOCKED_BATCH)
            assert mine.closed
            return answer

        answer = asyncio.run(attempt())
        assert isinstance(answer.error, OutcomeUnknown)
        assert isinstance(answer.error.__cause__, psycopg.Error)

    @pytest.mark.parametrize(
        "end", [*ENDS.values(), lambda conn: os.close(conn.pgconn.socket)], ids=[*ENDS, "its file"]
    )
    def test_before_the_first_byte_nothing_was_sent(self, connection, conn, end):
        end(connection.conn)
        answer = connection.attempt(item(1))
        assert is_not_sent(answer, answer.error.__cause__)
        assert ids(conn) == []


class TestTheCallersOwn:
    @pytest.mark.parametrize("handler", ["notify", "notice"])
    def test_failing_handler_does_not_fail_the_batch(self, connection, conn, handler):
        def failing(_):
            raise Hook("a secret")

        connection.execute("LISTEN news")
        getattr(connection.conn, f"add_{handler}_handler")(failing)
        loud = sql("SELECT pg_notify('news', 'x')")
        note = sql("SELECT 'x' FROM pg_advisory_unlock(7)")  # a WARNING: it is not held
        assert connection.run(batchq.gather(item(1), loud, note, READ))[3] == 1
        assert ids(conn) == [1]
        assert connection.run(READ) == 1

    def test_function_of_an_empty_batch_that_fails(self, client):
        answer = client.attempt(batchq.gather().map(lambda _: 1 / 0))
        assert isinstance(answer.error, DecodeFailed)
        assert answer.outcome is Outcome.NOT_SENT
        assert isinstance(answer.error.__cause__, ZeroDivisionError)

    @each_interrupt
    def test_function_that_is_interrupted_notes_that_the_rows_are_there(self, client, conn, error):
        error = type(error)(*error.args)

        def interrupted(_):
            raise error

        with pytest.raises(type(error)) as raised:
            client.run(item(1).map(interrupted))
        assert raised.value.__notes__ == [f"{NOTE}committed"]
        assert ids(conn) == [1]


def test_threads_that_end_a_pool_let_the_others_know(database):
    """A request that waits gets PoolClosed when the pool is closed."""
    answers = []
    with ConnectionPool(database, min_size=1, max_size=1, open=True) as pool, pool.connection():
        waiter = threading.Thread(target=lambda: answers.append(attempt(pool, READ)), daemon=True)
        waiter.start()
        while not pool.get_stats()["requests_waiting"]:
            pass
        pool.close()
        waiter.join()
    assert is_not_sent(answers[0], answers[0].error.__cause__)
    assert isinstance(answers[0].error.__cause__, psycopg_pool.PoolClosed)
