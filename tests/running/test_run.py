# SPDX-License-Identifier: MIT
"""``run``, ``arun``, ``attempt``, ``aattempt``: on connections and pools, raising and returning."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool, ConnectionPool

import batchq
import batchq.result
from batchq import BatchError, InvalidBatch, Outcome, gather, sequence, sql, unique
from batchq.result import Failed, Ok, aattempt, attempt
from batchq.testing import proxy
from tests.support.clients import ITEMS, item

READ = sql("SELECT 1").scalar(int)


class Taken(Exception):
    pass


def ids(conn):
    return [key for (key,) in conn.execute("SELECT id FROM item ORDER BY id")]


class TestOnAnything:
    def test_the_result_is_returned_and_the_rows_are_committed(self, target, conn):
        assert target.run(gather(item(1), READ)) == (None, 1)
        assert ids(conn) == [1]

    def test_the_callers_exception_is_raised_from_the_report(self, target, conn):
        clash = item(1).on(unique("item_pkey"), Taken("1")).label("again")
        with pytest.raises(Taken) as raised:
            target.run(gather(item(1), item(2), clash))
        report = raised.value.__cause__
        assert isinstance(report, BatchError)
        assert report.statement is clash
        assert (report.index, report.path) == (2, "again")
        assert report.outcome is Outcome.ROLLED_BACK
        assert isinstance(report.__cause__, psycopg.errors.UniqueViolation)
        assert ids(conn) == []

    def test_an_attempt_returns_what_run_would_raise(self, target, conn):
        assert target.attempt(READ).value == 1
        answer = target.attempt(gather(item(1), item(1).on(unique("item_pkey"), Taken)))
        assert isinstance(answer, Failed)
        assert isinstance(answer.error, Taken)
        assert answer.error.__cause__ is answer.report
        assert answer.outcome is answer.report.outcome is Outcome.ROLLED_BACK
        assert ids(conn) == []

    def test_batch_that_cannot_be_sent_raises_even_from_attempt(self, target):
        with pytest.raises(InvalidBatch):
            target.attempt(sql("SELECT %(x)s", x=object()))
        assert target.run(READ) == 1

    def test_a_failure_leaves_it_usable(self, target):
        assert isinstance(target.attempt(gather(item(1), item(1))), Failed)
        assert target.run(gather(item(1), READ)) == (None, 1)

    def test_an_empty_batch_has_its_result_without_a_connection(self, target):
        target.disconnect()
        assert target.run(gather()) == ()
        assert target.run(sequence([]).map(len)) == 0


def test_a_connection_is_idle_afterwards_in_autocommit_or_not(connect, items):
    for autocommit in (True, False):
        conn = connect(autocommit=autocommit)
        for batch in (READ, gather(READ, sql("SELECT 1/0"))):
            attempt(conn, batch)
            assert conn.info.transaction_status == TransactionStatus.IDLE


def test_an_empty_batch_sends_nothing_and_takes_nothing_from_a_pool(database):
    with ConnectionPool(database, min_size=1, max_size=1, open=True) as pool, pool.connection():
        assert batchq.run(pool, gather()) == ()


def test_empty_batch_leaves_an_open_transaction_alone(conn):
    conn.execute("BEGIN")
    assert batchq.run(conn, gather()) == ()
    conn.execute("COMMIT")


@pytest.mark.parametrize("size", [1, 3])
def test_the_same_value_can_be_run_again(connection, conn, size):
    batch = gather(
        *[batchq.insert("item", {"id": sql("(SELECT count(*) FROM item)"), "size": 1})] * size
    )
    connection.run(batch)
    connection.run(batch)
    assert ids(conn) == list(range(2 * size))


class TestTeaching:
    """What is wrong about a call is a TypeError that says what is right, before all else."""

    async def calls(self, target, batch, **options):
        """Return the message of each function about these arguments, by its name."""
        messages = {}
        for name in ("run", "attempt"):
            with pytest.raises(TypeError) as raised:
                getattr(batchq.result if "attempt" in name else batchq, name)(
                    target, batch, **options
                )
            messages[name] = str(raised.value)
        for name in ("arun", "aattempt"):
            with pytest.raises(TypeError) as raised:
                await getattr(batchq.result if "attempt" in name else batchq, name)(
                    target, batch, **options
                )
            messages[name] = str(raised.value)
        return messages

    @pytest.mark.parametrize("target", [None, "dbname=x", object()], ids=["None", "text", "object"])
    async def test_value_that_is_not_a_connection_is_rejected(self, target):
        messages = await self.calls(target, READ)
        kind = type(target).__name__
        assert all("Connection" in text and kind in text for text in messages.values())

    async def test_the_other_kind_of_connection_is_sent_to_the_other_function(self, database, conn):
        with pytest.raises(TypeError, match=r"run\(\)"):
            await batchq.arun(conn, READ)
        async with await psycopg.AsyncConnection.connect(database) as aconn:
            with pytest.raises(TypeError, match=r"arun\(\)"):
                batchq.run(aconn, READ)

    async def test_the_other_kind_of_pool_is_sent_to_the_other_function(self, database):
        with pytest.raises(TypeError, match=r"arun\(\)"):
            batchq.run(AsyncConnectionPool(database, open=False), READ)
        with pytest.raises(TypeError, match=r"run\(\)"):
            await batchq.arun(ConnectionPool(database, open=False), READ)

    def test_value_that_is_not_a_batch_is_rejected(self, connection):
        for wrong in ("SELECT 1", None, [READ], READ.scalar):
            with pytest.raises(TypeError, match="batch"):
                connection.run(wrong)

    def test_an_unknown_option_is_named_with_the_known_ones(self, client):
        with pytest.raises(TypeError, match=r"isolaton.*isolation.*timeout"):
            client.run(READ, isolaton=1)

    def test_so_it_is_for_an_empty_batch(self, client):
        with pytest.raises(TypeError, match="wrong"):
            client.run(gather(), wrong=1)


async def test_tasks_that_share_a_connection_take_turns(database, conn):
    conn.execute(ITEMS)
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as shared:
        answers = await asyncio.gather(
            *(aattempt(shared, gather(item(n % 10), READ)) for n in range(20))
        )
    assert sum(isinstance(answer, Ok) for answer in answers) == 10
    assert ids(conn) == list(range(10))


def test_a_batch_through_a_pool_is_one_flight(database, conn):
    conn.execute(ITEMS)
    with (
        proxy(database) as link,
        ConnectionPool(link.conninfo(), min_size=1, max_size=1, open=True) as pool,
    ):
        pool.wait()
        link.hold(syncs=2)
        with link.record() as recording:
            batchq.run(pool, gather(item(1), READ))
        assert recording.flights == 1
        assert recording.client == "PBDE" * 3 + "S" + "PBDE" + "S"
