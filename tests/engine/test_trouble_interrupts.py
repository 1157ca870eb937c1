# SPDX-License-Identifier: MIT
"""Ctrl-C and cancellation, wherever they hit: a pool hands out no connection that is not usable,
and the exception says what became of the batch."""

from __future__ import annotations

import asyncio
import signal
import threading
from itertools import count

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

import batchq
from batchq import Outcome, sql
from batchq.testing import proxy
from tests.support.clients import ITEMS, item
from tests.support.stalling import STALLING, lock_row, once_stalled

READ = sql("SELECT 1").scalar(int)
COMMITTED, ROLLED_BACK, UNKNOWN = "committed", "rolled_back", "unknown"


def said(raised) -> str:
    """The outcome that the note names."""
    (note,) = raised.value.__notes__
    return note.rpartition(" ")[2]


def is_true(outcome: str, conn) -> bool:
    rows = conn.execute("SELECT count(*) FROM item WHERE id > 0").fetchone()[0]
    return outcome == UNKNOWN or (rows > 0) == (outcome == COMMITTED)


@pytest.fixture(autouse=True)
def items(conn):
    conn.execute(ITEMS)


class Interrupting:
    """A generator that is interrupted when it yields for the n-th time, from 0 (its start).

    ``inside`` it ends the generator: the interrupt came while its own code ran. Otherwise it comes
    out of the waiting, as from select(), and the generator can be driven on.
    """

    def __init__(self, gen, at, *, inside, error=KeyboardInterrupt):
        self.gen, self.left, self.inside, self.error = gen, at, inside, error

    def __iter__(self):
        return self

    def __next__(self):
        return self.send(None)

    def send(self, ready):
        if self.left == 0:
            self.left = -1
            if self.inside:
                self.gen.throw(self.error)
            raise self.error
        self.left -= 1
        return self.gen.send(ready)

    def throw(self, *args):
        return self.gen.throw(*args)

    def close(self):
        self.gen.close()


def wrap_next_wait(conn, wrap):
    """Wrap the generator of the connection's next ``wait``, and of no later one."""
    wait = conn.wait

    def once(gen):
        del conn.wait
        return wait(wrap(gen))

    conn.wait = once


def telling(gen, tell):
    """Call ``tell`` whenever the generator is about to wait."""
    ready = None
    while True:
        try:
            state = gen.send(ready)
        except StopIteration as stop:
            return stop.value
        tell()
        ready = yield state


SHORT = batchq.gather(item(1), READ, item(2))
# The flight is longer than the socket's buffers take, so it is interrupted while it is sent, too.
LONG = batchq.gather(item(1), sql("SELECT length(%(x)s::text)", x="x" * 8_000_000), item(2))


class TestKeyboardInterrupt:
    @pytest.fixture
    def pool(self, database):
        with ConnectionPool(database, min_size=1, max_size=1, open=True) as pool:
            yield pool

    @pytest.mark.parametrize("inside", [True, False], ids=["inside", "while waiting"])
    @pytest.mark.parametrize("at", range(4))
    @pytest.mark.parametrize("batch", [SHORT, LONG], ids=["short", "long"])
    def test_at_any_yield_the_pools_next_user_is_served(self, pool, conn, batch, at, inside):
        with pool.connection() as first:
            pass
        wrap_next_wait(first, lambda gen: Interrupting(gen, at, inside=inside))
        try:
            batchq.run(pool, batch)
        except KeyboardInterrupt as error:
            outcome = error.__notes__[0].rpartition(" ")[2]
        else:
            outcome = COMMITTED  # there were not so many yields
        assert is_true(outcome, conn)
        with pool.connection() as second:
            assert second.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
            assert second.execute("SELECT 1").fetchone() == (1,)
        assert batchq.run(pool, READ) == 1

    @pytest.mark.parametrize("inside", [True, False], ids=["inside", "while waiting"])
    @pytest.mark.parametrize("nested", [True, False], ids=["nested", "of its own"])
    def test_a_connection_is_closed_or_as_it_was(self, connect, inside, nested):
        mine = connect()
        rest = psycopg.pq.TransactionStatus.IDLE
        if nested:
            mine.execute("BEGIN")
            rest = psycopg.pq.TransactionStatus.INTRANS
        wrap_next_wait(mine, lambda gen: Interrupting(gen, 1, inside=inside))
        with pytest.raises(KeyboardInterrupt):
            batchq.run(mine, SHORT, nested=nested)
        # Where the generator lives on, psycopg has read the answer to the end.
        assert mine.closed == inside
        if not inside:
            assert mine.info.transaction_status == rest
            assert mine.info.pipeline_status == psycopg.pq.PipelineStatus.OFF

    def test_before_anything_is_sent_the_connection_stays(self, pool, monkeypatch):
        def interrupted(*_, **__):
            raise KeyboardInterrupt

        with pool.connection() as first:
            pass
        monkeypatch.setattr("batchq.engine.transaction.encode", interrupted)
        with pytest.raises(KeyboardInterrupt) as raised:
            batchq.run(pool, item(1))
        monkeypatch.undo()
        assert said(raised) == Outcome.NOT_SENT.value
        with pool.connection() as second:
            assert second is first
        assert batchq.run(pool, READ) == 1

    def test_a_signal_while_a_step_waits_rolls_back(self, pool, conn, connect):
        lock_row(connect())
        with pool.connection() as first:
            pid = first.info.backend_pid
        main = threading.main_thread().ident
        with (
            once_stalled(conn, pid, lambda: signal.pthread_kill(main, signal.SIGINT)),
            pytest.raises(KeyboardInterrupt) as raised,
        ):
            batchq.run(pool, STALLING)
        # psycopg sent a cancel request and read the answer.
        assert said(raised) == ROLLED_BACK
        assert is_true(ROLLED_BACK, conn)
        assert batchq.run(pool, READ) == 1


class TestCancellation:
    @pytest.fixture
    async def pool(self, database):
        async with AsyncConnectionPool(database, min_size=1, max_size=1, open=False) as pool:
            yield pool

    @pytest.mark.parametrize("at", range(4))
    @pytest.mark.parametrize("batch", [SHORT, LONG], ids=["short", "long"])
    async def test_at_any_await_the_pools_next_user_is_served(self, pool, conn, batch, at):
        async with pool.connection() as first:
            pass

        yields = count()
        wrap_next_wait(
            first,
            lambda gen: telling(gen, lambda: next(yields) == at and task.cancel()),
        )
        task = asyncio.ensure_future(batchq.arun(pool, batch))
        try:
            await task
        except asyncio.CancelledError as error:
            outcome = error.__notes__[0].rpartition(" ")[2]
        else:
            outcome = COMMITTED  # there were not so many yields
        assert is_true(outcome, conn)
        async with pool.connection() as second:
            assert second.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert await batchq.arun(pool, READ) == 1

    async def test_while_a_step_waits_it_rolls_back(self, pool, conn, connect):
        lock_row(connect())
        async with pool.connection() as first:
            pid = first.info.backend_pid
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(batchq.arun(pool, STALLING))
        with (
            once_stalled(conn, pid, lambda: loop.call_soon_threadsafe(task.cancel)),
            pytest.raises(asyncio.CancelledError) as raised,
        ):
            await task
        assert said(raised) == ROLLED_BACK
        assert is_true(ROLLED_BACK, conn)
        assert await batchq.arun(pool, READ) == 1

    async def test_a_second_cancellation_costs_the_connection(self, database):
        """No answer comes, so psycopg waits for the end of the query that it has cancelled."""
        with proxy(database) as link:
            async with AsyncConnectionPool(
                link.conninfo(), min_size=1, max_size=1, open=False
            ) as pool:
                async with pool.connection() as first:
                    pass
                link.hold(syncs=3)
                waiting = asyncio.Event()
                wrap_next_wait(first, lambda gen: telling(gen, waiting.set))
                task = asyncio.ensure_future(batchq.arun(pool, item(1)))
                await waiting.wait()
                task.cancel()
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError) as raised:
                    await task
                assert said(raised) == UNKNOWN
                assert first.closed
                assert await batchq.arun(pool, READ) == 1

    async def test_waiting_for_the_connections_lock_leaves_its_user_alone(
        self, database, conn, connect
    ):
        holder = connect()
        lock_row(holder)
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as shared:
            waiting = asyncio.Event()
            wrap_next_wait(shared, lambda gen: telling(gen, waiting.set))
            first = asyncio.ensure_future(batchq.arun(shared, STALLING))
            await waiting.wait()
            second = asyncio.ensure_future(batchq.arun(shared, item(9)))
            await asyncio.sleep(0)
            second.cancel()
            with pytest.raises(asyncio.CancelledError) as raised:
                await second
            assert said(raised) == Outcome.NOT_SENT.value
            holder.execute("ROLLBACK")
            await first
            assert not shared.closed
        assert conn.execute("SELECT id FROM item WHERE id > 0 ORDER BY id").fetchall() == [
            (1,),
            (3,),
        ]
