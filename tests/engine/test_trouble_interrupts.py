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
from batchq.engine.outcome.attribute import closing_verdict
from batchq.running import waiting
from batchq.testing import proxy
from tests.support.blocked_batch import BLOCKED_BATCH, interrupt_main, lock_row, once_blocked
from tests.support.clients import ITEMS, item, parsed
from tests.support.flights import notifying, wrapped_wait
from tests.support.lock_waits import TIMEOUT

READ = sql("SELECT 1").scalar(int)
COMMITTED, ROLLED_BACK, UNKNOWN = "committed", "rolled_back", "unknown"


def noted_outcome(raised) -> str:
    """Return the outcome that the note names."""
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
    def test_interrupt_at_any_yield_leaves_the_pool_usable(self, pool, conn, batch, at, inside):
        try:
            with wrapped_wait(lambda gen: Interrupting(gen, at, inside=inside)):
                batchq.run(pool, batch)
        except KeyboardInterrupt as error:
            outcome = error.__notes__[0].rpartition(" ")[2]
        else:
            outcome = COMMITTED  # there were not so many yields
        assert is_true(outcome, conn)
        if at == 0 and not inside:  # it had not begun, and is not begun to be wound up
            assert outcome == Outcome.NOT_SENT.value
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
        interrupts = wrapped_wait(lambda gen: Interrupting(gen, 1, inside=inside))
        with interrupts, pytest.raises(KeyboardInterrupt):
            batchq.run(mine, SHORT, nested=nested)
        # Where the generator lives on, the answer was read to its end.
        assert mine.closed == inside
        if not inside:
            assert mine.info.transaction_status == rest
            assert mine.info.pipeline_status == psycopg.pq.PipelineStatus.OFF

    def test_what_the_answers_to_an_interrupted_flight_show_is_kept(self, database):
        """They show the types that the server inferred, so the statement can be prepared."""
        interrupts = wrapped_wait(lambda gen: Interrupting(gen, 1, inside=False))
        with proxy(database) as link, psycopg.connect(link.conninfo(), autocommit=True) as mine:
            mine.prepare_threshold = 0
            with interrupts, pytest.raises(KeyboardInterrupt):
                batchq.run(mine, SHORT)
            with link.record() as recording:
                batchq.run(mine, item(3))
        (name,) = parsed(recording)
        assert name

    def test_while_the_answers_are_judged_none_of_them_is_lost(self, connect, conn, monkeypatch):
        interrupts = [KeyboardInterrupt]

        def interrupted(*args, **options):
            if interrupts:
                raise interrupts.pop()
            return closing_verdict(*args, **options)

        monkeypatch.setattr("batchq.engine.transaction.closing_verdict", interrupted)
        mine = connect()
        with pytest.raises(KeyboardInterrupt) as raised:
            batchq.run(mine, SHORT)
        assert noted_outcome(raised) == COMMITTED
        assert is_true(COMMITTED, conn)
        assert not mine.closed

    def test_before_anything_is_sent_the_connection_stays(self, pool, monkeypatch):
        def interrupted(*_, **__):
            raise KeyboardInterrupt

        with pool.connection() as first:
            pass
        monkeypatch.setattr("batchq.engine.ready.encode", interrupted)
        with pytest.raises(KeyboardInterrupt) as raised:
            batchq.run(pool, item(1))
        monkeypatch.undo()
        assert noted_outcome(raised) == Outcome.NOT_SENT.value
        with pool.connection() as second:
            assert second is first
        assert batchq.run(pool, READ) == 1

    def test_a_signal_while_a_step_waits_rolls_back(self, pool, conn, connect, monkeypatch):
        monkeypatch.setattr(waiting, "GRACE", float(TIMEOUT))  # a busy machine may need it
        lock_row(connect())
        with pool.connection() as first:
            pid = first.info.backend_pid
        with (
            once_blocked(conn, pid, interrupt_main),
            pytest.raises(KeyboardInterrupt) as raised,
        ):
            batchq.run(pool, BLOCKED_BATCH)
        # A cancel request was sent, and the answer read.
        assert noted_outcome(raised) == ROLLED_BACK
        assert is_true(ROLLED_BACK, conn)
        assert batchq.run(pool, READ) == 1


class TestCancellation:
    @pytest.fixture
    async def pool(self, database):
        async with AsyncConnectionPool(database, min_size=1, max_size=1, open=False) as pool:
            yield pool

    @pytest.mark.parametrize("at", range(4))
    @pytest.mark.parametrize("batch", [SHORT, LONG], ids=["short", "long"])
    async def test_cancellation_at_any_await_leaves_the_pool_usable(self, pool, conn, batch, at):
        yields = count()
        cancels = wrapped_wait(
            lambda gen: notifying(gen, lambda: next(yields) == at and task.cancel())
        )
        task = asyncio.ensure_future(batchq.arun(pool, batch))
        try:
            with cancels:
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
        loop, task = (
            asyncio.get_running_loop(),
            asyncio.ensure_future(batchq.arun(pool, BLOCKED_BATCH)),
        )
        with (
            once_blocked(conn, pid, lambda: loop.call_soon_threadsafe(task.cancel)),
            pytest.raises(asyncio.CancelledError) as raised,
        ):
            await task
        assert noted_outcome(raised) == ROLLED_BACK
        assert is_true(ROLLED_BACK, conn)
        assert await batchq.arun(pool, READ) == 1

    async def test_a_second_cancellation_costs_the_connection(self, database):
        """No answer comes, and who waits for the end of what was cancelled is cancelled again."""
        with proxy(database) as link:
            async with AsyncConnectionPool(
                link.conninfo(), min_size=1, max_size=1, open=False
            ) as pool:
                async with pool.connection() as first:
                    pass
                link.hold(syncs=3)
                begun = asyncio.Event()
                with wrapped_wait(lambda gen: notifying(gen, begun.set)):
                    task = asyncio.ensure_future(batchq.arun(pool, item(1)))
                    await begun.wait()
                task.cancel()
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError) as raised:
                    await task
                assert noted_outcome(raised) == UNKNOWN
                assert first.closed
                assert await batchq.arun(pool, READ) == 1

    async def test_waiting_for_the_connections_lock_leaves_its_user_alone(
        self, database, conn, connect
    ):
        holder = connect()
        lock_row(holder)
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as shared:
            begun = asyncio.Event()
            with wrapped_wait(lambda gen: notifying(gen, begun.set)):
                first = asyncio.ensure_future(batchq.arun(shared, BLOCKED_BATCH))
                await begun.wait()
            second = asyncio.ensure_future(batchq.arun(shared, item(9)))
            await asyncio.sleep(0)
            second.cancel()
            with pytest.raises(asyncio.CancelledError) as raised:
                await second
            assert noted_outcome(raised) == Outcome.NOT_SENT.value
            holder.execute("ROLLBACK")
            await first
            assert not shared.closed
        assert conn.execute("SELECT id FROM item WHERE id > 0 ORDER BY id").fetchall() == [
            (1,),
            (3,),
        ]


class TestASilentNetwork:
    """Nothing is forwarded any more, nor is a request to stop: who interrupts does not wait."""

    @pytest.fixture
    def silent(self, database, monkeypatch):
        """Return a network that falls silent when the flight has arrived."""
        monkeypatch.setattr(waiting, "GRACE", 0.02)
        with proxy(database) as link:
            yield link

    def test_ctrl_c_ends_a_run_within_the_grace(self, silent):
        with psycopg.connect(silent.conninfo(), autocommit=True) as mine:
            silent.silence_answers(after=0)
            main = threading.main_thread().ident

            def interrupt():
                assert silent.silenced.wait(TIMEOUT)
                signal.pthread_kill(main, signal.SIGINT)

            thread = threading.Thread(target=interrupt)
            thread.start()
            with pytest.raises(KeyboardInterrupt) as raised:
                batchq.run(mine, item(1))
            thread.join()
            assert noted_outcome(raised) == UNKNOWN
            assert mine.closed

    @pytest.mark.parametrize("timed", [True, False], ids=["asyncio.timeout", "cancel"])
    async def test_a_cancelled_task_ends_within_the_grace(self, silent, timed):
        async with await psycopg.AsyncConnection.connect(
            silent.conninfo(), autocommit=True
        ) as mine:
            silent.silence_answers(after=0)
            begun = asyncio.Event()

            async def work():
                async with asyncio.timeout(0.05 if timed else None):
                    await batchq.arun(mine, item(1))

            with wrapped_wait(lambda gen: notifying(gen, begun.set)):
                task = asyncio.ensure_future(work())
                await begun.wait()
            if not timed:
                task.cancel()
            # psycopg itself waits five seconds for its request, and five for the answer.
            await asyncio.wait({task}, timeout=5)
            assert task.done()
            with pytest.raises(TimeoutError if timed else asyncio.CancelledError) as raised:
                await task
            # Its __cause__ too since Python 3.11.3.
            interrupt = raised.value.__context__ if timed else raised.value
            assert interrupt.__notes__[0].rpartition(" ")[2] == UNKNOWN
            assert mine.closed
