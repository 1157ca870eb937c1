# SPDX-License-Identifier: MIT
"""Whatever interrupts a nested batch, the transaction around it is as it was, or its connection is
closed: a transaction that is left failed would lose what the caller wrote, and COMMIT says nothing.
"""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from psycopg.pq import PipelineStatus, TransactionStatus

import batchq
from batchq import BatchError, Outcome, gather, sql
from batchq.engine.transaction import Transaction
from batchq.running import waiting
from tests.support.blocked_batch import BLOCKED_BATCH, interrupt_main, lock_row, once_blocked
from tests.support.clients import ITEMS, item
from tests.support.flights import wrapped_wait
from tests.support.lock_waits import TIMEOUT

OUTER = item(100)
PARTED = """
CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (10);
INSERT INTO parted VALUES (1);
"""
BATCHES = {
    "that succeeds": gather(item(1), sql("SELECT 1"), item(2)),
    "that fails": gather(item(1), sql("SELECT 1/0"), item(2)),
    # After the failure and its undoing the catalogue is asked.
    "that fails in a partition": gather(item(1), batchq.insert("parted", {"id": 1})),
    # Longer than the socket's buffers take, so it is interrupted while it is sent, too.
    "that is long": gather(item(1), sql("SELECT length(%(x)s::text)", x="x" * 8_000_000)),
}
PLACES = ["inside", "while waiting", "after"]
FLIGHTS, YIELDS = 4, 3


@pytest.fixture(autouse=True)
def tables(conn):
    conn.execute(ITEMS)
    conn.execute(PARTED)


class Interrupted:
    """A flight that is interrupted when it yields for the n-th time, from 0 (its start): while its
    own code runs, out of the waiting, or when it is over."""

    def __init__(self, gen, at, place, error):
        self.gen, self.left, self.place, self.error = gen, at, place, error

    def __iter__(self):
        return self

    def __next__(self):
        return self.send(None)

    def send(self, ready):
        if self.left == 0 and self.place != "after":
            self.left = -1
            if self.place == "inside":
                self.gen.throw(self.error)
            raise self.error
        self.left -= 1
        try:
            return self.gen.send(ready)
        except StopIteration:
            if self.place == "after":
                raise self.error from None
            raise

    def throw(self, *args):
        return self.gen.throw(*args)

    def close(self):
        self.gen.close()


def note_of(error) -> str:
    return next(note for note in error.__notes__ if "outcome" in note).rpartition(" ")[2]


def check_at_rest(mine):
    assert mine.closed or mine.info.transaction_status == TransactionStatus.INTRANS
    assert mine.closed or mine.info.pipeline_status == PipelineStatus.OFF


def check_kept(mine, conn, outcome, closed=None):
    """Check that COMMIT kept what was reported; nothing if the connection was closed before."""
    ids = {row[0] for row in conn.execute("SELECT id FROM item WHERE id > 0")}
    if mine.closed if closed is None else closed:
        assert ids == set()
    else:
        assert 100 in ids
        assert (len(ids) > 1) == (outcome == Outcome.RELEASED.value)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
def test_ctrl_c_at_any_yield_of_any_flight_keeps_the_outer_row_or_closes(
    connect, conn, batch, place
):
    interrupts = 0
    for flight in range(FLIGHTS):
        for at in range(1 if place == "after" else YIELDS):
            conn.execute("DELETE FROM item")
            mine = connect()
            wrap = wrapped_wait(
                lambda gen, at=at: Interrupted(gen, at, place, KeyboardInterrupt()),
                skip=flight,
            )
            outcome = Outcome.RELEASED.value
            with mine.transaction():
                batchq.run(mine, OUTER, nested=True)
                try:
                    with wrap:
                        batchq.run(mine, batch, nested=True)
                except BatchError as error:  # there were not so many yields
                    outcome = error.outcome.value
                except KeyboardInterrupt as error:
                    interrupts += 1
                    outcome = note_of(error)
                    closed = [note for note in error.__notes__ if "closed" in note]
                    assert bool(closed) == mine.closed
                check_at_rest(mine)
                assert place != "while waiting" or not mine.closed
            check_kept(mine, conn, outcome)
            mine.close()
    assert interrupts


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
async def test_a_cancellation_at_any_yield_keeps_the_outer_row_or_closes(
    database, conn, batch, place
):
    interrupts = 0
    for flight in range(FLIGHTS):
        for at in range(1 if place == "after" else YIELDS):
            conn.execute("DELETE FROM item")
            link = await psycopg.AsyncConnection.connect(database, autocommit=True)
            async with link as mine:
                wrap = wrapped_wait(
                    lambda gen, at=at: Interrupted(gen, at, place, asyncio.CancelledError()),
                    skip=flight,
                )
                outcome = Outcome.RELEASED.value
                async with mine.transaction():
                    await batchq.arun(mine, OUTER, nested=True)
                    try:
                        with wrap:
                            await batchq.arun(mine, batch, nested=True)
                    except BatchError as error:  # there were not so many yields
                        outcome = error.outcome.value
                    except asyncio.CancelledError as error:
                        interrupts += 1
                        outcome = note_of(error)
                    check_at_rest(mine)
                    closed = mine.closed
                    assert place != "while waiting" or not mine.closed
            check_kept(mine, conn, outcome, closed)
    assert interrupts


@pytest.fixture
def patient(monkeypatch):
    """Wait as long as a busy machine needs for the answer to a cancel request."""
    monkeypatch.setattr(waiting, "GRACE", float(TIMEOUT))


@pytest.mark.usefixtures("patient")
def test_ctrl_c_while_a_step_waits_keeps_the_outer_row(conn, connect):
    lock_row(connect())
    mine = connect()
    interrupt = once_blocked(conn, mine.info.backend_pid, interrupt_main)
    with mine.transaction():
        batchq.run(mine, OUTER, nested=True)
        with interrupt, pytest.raises(KeyboardInterrupt) as raised:
            batchq.run(mine, BLOCKED_BATCH, nested=True)
    assert note_of(raised.value) == Outcome.ROLLED_BACK.value
    assert not mine.closed
    check_kept(mine, conn, Outcome.ROLLED_BACK.value)


@pytest.mark.usefixtures("patient")
async def test_a_cancellation_while_a_step_waits_keeps_the_outer_row(database, conn, connect):
    lock_row(connect())
    loop = asyncio.get_running_loop()
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as mine:
        async with mine.transaction():
            await batchq.arun(mine, OUTER, nested=True)
            task = asyncio.ensure_future(batchq.arun(mine, BLOCKED_BATCH, nested=True))
            pid = mine.info.backend_pid
            with (
                once_blocked(conn, pid, lambda: loop.call_soon_threadsafe(task.cancel)),
                pytest.raises(asyncio.CancelledError) as raised,
            ):
                await task
        assert note_of(raised.value) == Outcome.ROLLED_BACK.value
        assert not mine.closed
        check_kept(mine, conn, Outcome.ROLLED_BACK.value)


def test_connection_is_closed_with_a_note_if_there_is_no_time_to_undo(conn, connect, monkeypatch):
    """The cancel request is made and the answer read, but the undoing finds no time."""
    monkeypatch.setattr(Transaction, "undo_left", lambda _: None)
    lock_row(connect())
    mine = connect()
    interrupt = once_blocked(conn, mine.info.backend_pid, interrupt_main)
    batchq.run(mine, sql("SELECT 1"))
    mine.execute("BEGIN")
    batchq.run(mine, OUTER, nested=True)
    with interrupt, pytest.raises(KeyboardInterrupt) as raised:
        batchq.run(mine, BLOCKED_BATCH, nested=True)
    assert mine.closed
    assert [note for note in raised.value.__notes__ if "outer transaction" in note]
    check_kept(mine, conn, Outcome.ROLLED_BACK.value)
