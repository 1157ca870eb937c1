# SPDX-License-Identifier: MIT
"""``nested=True``: part of the transaction that is open on the connection, by a savepoint."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus

import batchq
from batchq import (
    DecodeFailed,
    InvalidBatch,
    Outcome,
    Retry,
    SerializationConflict,
    gather,
    sql,
    unique,
)
from batchq.result import Ok, attempt
from tests.support.clients import item
from tests.support.fake_server import Scenario, fake_server
from tests.support.flights import wrapped_wait

READ = sql("SELECT 1").scalar(int)


class Taken(Exception):
    pass


def interrupted_after(flight):
    """Ctrl-C when the answer has been read."""
    yield from flight
    raise KeyboardInterrupt


def ids(conn):
    return [key for (key,) in conn.execute("SELECT id FROM item ORDER BY id")]


def status(connection):
    return connection.conn.info.transaction_status


@pytest.fixture
def outer(connection):
    """Open a connection and a transaction on it."""
    connection.execute("BEGIN")
    connection.execute("INSERT INTO item VALUES (100, 1)")
    return connection


class TestSuccess:
    def test_the_outer_commit_decides(self, outer, conn):
        assert outer.run(gather(item(1), READ), nested=True) == (None, 1)
        assert status(outer) == TransactionStatus.INTRANS
        assert ids(conn) == []
        outer.execute("COMMIT")
        assert ids(conn) == [1, 100]

    def test_the_outer_rollback_undoes_it(self, outer, conn):
        outer.run(item(1), nested=True)
        outer.execute("ROLLBACK")
        assert ids(conn) == []

    def test_the_savepoint_is_released(self, outer):
        outer.run(item(1), nested=True)
        with pytest.raises(psycopg.errors.InvalidSavepointSpecification):
            outer.execute("RELEASE SAVEPOINT batchq")

    def test_nested_batch_sees_the_outer_transaction(self, outer):
        count = sql("SELECT count(*) FROM item").scalar(int)
        assert outer.run(gather(item(1), count), nested=True) == (None, 2)

    def test_several_in_turn(self, outer, conn):
        for n in range(3):
            outer.run(item(n), nested=True)
        outer.execute("COMMIT")
        assert ids(conn) == [0, 1, 2, 100]


class TestFailure:
    @pytest.mark.parametrize("at", [0, 1, 2])
    def test_outer_transaction_continues_without_the_failed_batch(self, outer, conn, at):
        steps = [item(1), item(2)]
        clash = item(100).on(unique("item_pkey"), Taken)
        steps.insert(at, clash)
        answer = outer.attempt(gather(*steps), nested=True)
        assert isinstance(answer.error, Taken)
        assert answer.report.statement is clash
        assert answer.report.index == at
        assert answer.outcome is Outcome.ROLLED_BACK
        assert status(outer) == TransactionStatus.INTRANS
        outer.run(item(3), nested=True)
        outer.execute("COMMIT")
        assert ids(conn) == [3, 100]

    def test_a_guard_too_leaves_the_outer_transaction_open(self, outer, conn):
        missing = batchq.delete("item", {"id": 7}).expect(1, missing=Taken)
        assert isinstance(outer.attempt(gather(item(1), missing), nested=True).error, Taken)
        outer.execute("COMMIT")
        assert ids(conn) == [100]

    def test_a_deferred_constraint_waits_for_the_outer_commit(self, outer, conn):
        outer.run(gather(item(1, place=5), item(2, place=5)), nested=True)
        with pytest.raises(psycopg.errors.UniqueViolation):
            outer.execute("COMMIT")
        assert ids(conn) == []

    def test_a_decode_error_does_not_claim_a_commit(self, outer):
        answer = outer.attempt(item(1).map(lambda _: 1 / 0), nested=True)
        assert isinstance(answer.error, DecodeFailed)
        assert answer.outcome is Outcome.RELEASED
        assert "committed" not in str(answer.error)
        assert status(outer) == TransactionStatus.INTRANS


class TestRefused:
    def test_nested_without_an_open_transaction_is_rejected(self, connection):
        with pytest.raises(InvalidBatch, match="IDLE"):
            connection.run(item(1), nested=True)
        assert status(connection) == TransactionStatus.IDLE

    def test_nested_in_a_failed_transaction_is_rejected(self, outer):
        with pytest.raises(psycopg.errors.DivisionByZero):
            outer.execute("SELECT 1/0")
        with pytest.raises(InvalidBatch, match="INERROR"):
            outer.run(item(1), nested=True)
        assert status(outer) == TransactionStatus.INERROR

    @pytest.mark.parametrize(
        "option",
        [
            {"isolation": IsolationLevel.SERIALIZABLE},
            {"read_only": True},
            {"read_only": False},
            {"timeout": 1},
            {"retry": Retry()},
        ],
        ids=str,
    )
    def test_nested_with_an_option_of_the_transaction_is_rejected(self, outer, option):
        named = next(iter(option))
        instead = {"timeout": "SET LOCAL", "retry": "rerun_outer"}.get(named, "of the connection")
        with pytest.raises(InvalidBatch, match=f"{named}=: not with nested=True; .*{instead}"):
            outer.run(item(1), nested=True, **option)
        assert status(outer) == TransactionStatus.INTRANS

    def test_nested_on_a_pool_is_rejected(self, pool):
        with pytest.raises(InvalidBatch, match="pool"):
            pool.run(item(1), nested=True)


@pytest.mark.usefixtures("items")
class TestInsideOfPsycopgs:
    def test_transaction_blocks(self, connect, conn):
        mine = connect()
        with mine.transaction():
            batchq.run(mine, item(1), nested=True)
            with mine.transaction(force_rollback=True):
                batchq.run(mine, item(2), nested=True)
        assert ids(conn) == [1]

    def test_implicit_transactions(self, connect, conn):
        mine = connect(autocommit=False)
        mine.execute("INSERT INTO item VALUES (100, 1)")
        batchq.run(mine, item(1), nested=True)
        mine.commit()
        assert ids(conn) == [1, 100]

    def test_connections_isolation_is_not_an_option_of_the_batch(self, connect, conn):
        mine = connect()
        mine.isolation_level = IsolationLevel.SERIALIZABLE
        with mine.transaction():
            batchq.run(mine, item(1), nested=True)
        assert ids(conn) == [1]


CONFLICT = {"S": "ERROR", "V": "ERROR", "C": "40001", "M": "restart transaction", "R": "write"}


class TestAConflict:
    """Another attempt takes the transaction around it as well."""

    @pytest.mark.parametrize("code", ["40001", "40P01"])
    def test_says_that_the_outer_transaction_is_to_be_run_again(self, outer, conn, code):
        conn.execute(
            "CREATE FUNCTION fail() RETURNS int LANGUAGE plpgsql AS "
            f"$$BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; END$$"
        )
        answer = outer.attempt(gather(item(1), sql("SELECT fail()")), nested=True)
        assert type(answer.error) is SerializationConflict
        assert answer.error.rerun_outer
        assert "outer transaction" in str(answer.error)
        assert status(outer) == TransactionStatus.INTRANS
        outer.execute("COMMIT")
        assert ids(conn) == [100]

    def test_of_a_batch_of_its_own_does_not(self, connection, conn):
        conn.execute(
            "CREATE FUNCTION fail() RETURNS int LANGUAGE plpgsql AS "
            "$$BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END$$"
        )
        error = connection.attempt(sql("SELECT fail()")).error
        assert not error.rerun_outer
        assert "running the batch again may succeed" in str(error)

    @pytest.mark.parametrize("place", [1, 2, 3], ids=["first step", "last step", "RELEASE"])
    def test_leaves_the_owners_connection_open_where_it_cannot_be_undone(self, place):
        """CockroachDB takes no ROLLBACK TO SAVEPOINT then, and the owner has to roll back the whole
        on this connection. After its documentation and source; not seen on a live one."""
        with fake_server(cockroach=True) as server, server.connect() as mine:
            mine.execute("BEGIN")
            server.scenario = Scenario(place=place, fields=CONFLICT)
            steps = gather(sql("SELECT 1"), sql("SELECT 2"))
            answer = attempt(mine, steps, nested=True)
            assert type(answer.error) is SerializationConflict
            assert answer.error.rerun_outer
            assert answer.outcome is Outcome.ROLLED_BACK
            assert mine.info.transaction_status == TransactionStatus.INERROR
            mine.rollback()
            assert mine.info.transaction_status == TransactionStatus.IDLE
            assert isinstance(attempt(mine, sql("SELECT 3")), Ok)

    def test_an_interrupt_closes_the_connection_where_it_cannot_be_undone(self):
        """Otherwise its owner would miss the conflict, and COMMIT would end without an error."""
        with fake_server(cockroach=True) as server, server.connect() as mine:
            mine.execute("BEGIN")
            server.scenario = Scenario(place=1, fields=CONFLICT)
            with wrapped_wait(interrupted_after), pytest.raises(KeyboardInterrupt) as raised:
                batchq.run(mine, sql("SELECT 1"), nested=True)
            assert mine.closed
            assert "outer transaction is rolled back" in raised.value.__notes__[1]
