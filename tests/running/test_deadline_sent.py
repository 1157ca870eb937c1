# SPDX-License-Identifier: MIT
"""A deadline that passes when the batch was sent: no step is blamed for what it ends, and what is
answered in the grace is the answer."""

from __future__ import annotations

from unittest.mock import patch

import psycopg
import pytest

import batchq
from batchq import (
    DeadlineExceeded,
    Outcome,
    Retry,
    SerializationConflict,
    gather,
    insert,
    sql,
    unique,
)
from batchq.engine.outcome.stale import may_be_stale
from batchq.running import waiting
from tests.support.blocked_batch import BLOCKED_BATCH, lock_row, once_blocked
from tests.support.clients import ITEMS, SyncClient, item
from tests.support.clock import LONG, overtaken, standing_clock

READ = sql("SELECT 1").scalar(int)
SOON = 0.2
"""Seconds until a deadline that is to pass; nothing depends on how exactly it does."""


def is_nobodys_fault(answer):
    assert isinstance(answer.error, DeadlineExceeded)
    assert answer.error is answer.report
    assert answer.outcome is Outcome.ROLLED_BACK
    assert answer.report.step is None
    assert answer.report.violation.sqlstate in {"57014", "25P04"}
    assert isinstance(answer.error.__cause__, psycopg.Error)
    return True


class TestWhatWasSent:
    def test_a_step_that_waits_is_stopped(self, client, conn, connect):
        holder = connect()
        lock_row(holder)
        pid = client.run(sql("SELECT pg_backend_pid()").scalar(int))
        with standing_clock() as clock, once_blocked(conn, pid, lambda: clock.pass_by(LONG)):
            answer = client.attempt(BLOCKED_BATCH, deadline=LONG)
        assert is_nobodys_fault(answer)
        assert client.run(sql("SELECT pg_backend_pid()").scalar(int)) == pid
        holder.execute("ROLLBACK")
        assert conn.execute("SELECT id FROM item").fetchall() == [(0,)]

    def test_commit_is_stopped_too(self, client, conn, connect):
        conn.execute(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN PERFORM FROM item WHERE id = 0 FOR UPDATE; RETURN null; END$$"
        )
        conn.execute(
            "CREATE CONSTRAINT TRIGGER dawdles AFTER INSERT ON item "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dawdle()"
        )
        lock_row(connect())
        pid = client.run(sql("SELECT pg_backend_pid()").scalar(int))
        with standing_clock() as clock, once_blocked(conn, pid, lambda: clock.pass_by(LONG)):
            answer = client.attempt(item(1), deadline=LONG)
        assert is_nobodys_fault(answer)
        assert conn.execute("SELECT id FROM item").fetchall() == [(0,)]

    def test_a_timeout_for_statements_does_not_bound_commit(self, database, conn):
        conn.execute(ITEMS)
        conn.execute(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN PERFORM pg_sleep(2); RETURN null; END$$"
        )
        conn.execute(
            "CREATE CONSTRAINT TRIGGER dawdles AFTER INSERT ON item "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dawdle()"
        )
        with SyncClient(database) as client:
            client.run(item(1), timeout=1.5)


class TestTheGrace:
    """The deadline passes when all is sent, and the request to stop gets nowhere."""

    @pytest.fixture(autouse=True)
    def no_request(self, monkeypatch):
        async def lost(*_):
            return True

        monkeypatch.setattr(waiting, "request_cancel", lambda *_: True)
        monkeypatch.setattr(waiting, "request_cancel_async", lost)

    @pytest.fixture
    def late(self):
        with overtaken():
            yield

    def test_the_servers_own_limit_is_nobodys_fault_either(self, client, conn, connect):
        lock_row(connect())
        with overtaken(server=SOON):
            answer = client.attempt(BLOCKED_BATCH, deadline=LONG)
        assert is_nobodys_fault(answer)
        assert conn.execute("SELECT id FROM item").fetchall() == [(0,)]

    def test_deadline_ends_a_transaction_before_a_longer_session_timeout(self, connection, connect):
        """Its timer has run since BEGIN."""
        connection.execute("SET statement_timeout = '1h'")
        if connection.conn.info.server_version >= 170000:
            connection.execute("SET transaction_timeout = '1h'")
        lock_row(connect())
        with overtaken(server=SOON):
            assert is_nobodys_fault(connection.attempt(BLOCKED_BATCH, deadline=LONG))

    def test_a_mapping_of_its_code_is_for_what_others_do(self, client, connect):
        lock_row(connect())
        batch = BLOCKED_BATCH.on(batchq.sqlstate("57014"), LookupError()).on(
            batchq.sqlstate("25P04"), LookupError()
        )
        with overtaken(server=SOON):
            assert is_nobodys_fault(client.attempt(batch, deadline=LONG))

    @pytest.mark.usefixtures("late")
    def test_committed_batch_returns_its_result(self, client, conn):
        assert client.run(gather(item(1), READ), deadline=LONG) == (None, 1)
        assert conn.execute("SELECT id FROM item").fetchall() == [(1,)]
        client.run(item(2))

    @pytest.mark.usefixtures("late")
    def test_a_request_that_is_still_under_way_costs_the_connection(
        self, connection, conn, monkeypatch
    ):
        """It would stop the next statement of the session."""

        async def pending(*_):
            return False

        monkeypatch.setattr(waiting, "request_cancel", lambda *_: False)
        monkeypatch.setattr(waiting, "request_cancel_async", pending)
        assert connection.run(gather(item(1), READ), deadline=LONG) == (None, 1)
        assert connection.conn.closed
        assert conn.execute("SELECT id FROM item").fetchall() == [(1,)]

    @pytest.mark.usefixtures("late")
    def test_refused_batch_raises_the_mapped_error(self, client, conn):
        conn.execute("INSERT INTO item VALUES (1, 1)")
        batch = insert("item", {"id": 1, "size": 1}).on(unique("item_pkey"), LookupError("taken"))
        with pytest.raises(LookupError, match="taken"):
            client.run(batch, deadline=LONG)
        client.run(item(2))

    @pytest.mark.usefixtures("late")
    def test_a_conflict_is_one(self, client, conflict):
        answer = client.attempt(conflict, deadline=LONG)
        assert isinstance(answer.error, SerializationConflict)
        retried = client.attempt(conflict, deadline=LONG, retry=Retry(attempts=1))
        assert isinstance(retried.error, SerializationConflict)

    @pytest.mark.usefixtures("late")
    def test_batch_is_not_attempted_again(self, client, conflict):
        answer = client.attempt(conflict, deadline=LONG, retry=Retry(attempts=5, backoff=0))
        assert is_after_a_conflict(answer, attempts=1)

    @pytest.mark.usefixtures("late")
    def test_failure_of_a_prepared_statement_is_not_sent_once_more(self, database, conn):
        conn.execute(ITEMS)
        with SyncClient(database, prepare_threshold=0) as client:
            client.run(item(1))
            client.execute("DEALLOCATE ALL")
            answer = client.attempt(item(2), deadline=LONG)
        assert isinstance(answer.error, DeadlineExceeded)
        assert answer.outcome is Outcome.ROLLED_BACK
        assert answer.report.attempts == 1


def test_deadline_between_two_attempts_prevents_the_second(database, conn, monkeypatch):
    conn.execute(ITEMS)
    with SyncClient(database, prepare_threshold=0) as client, standing_clock() as clock:
        client.run(item(1))
        client.execute("DEALLOCATE ALL")

        def judged(*about):
            clock.pass_by(LONG)
            return may_be_stale(*about)

        monkeypatch.setattr("batchq.engine.transaction.may_be_stale", judged)
        answer = client.attempt(item(2), deadline=LONG)
        assert answer.outcome is Outcome.ROLLED_BACK
        assert isinstance(answer.error, DeadlineExceeded)
        assert answer.report.attempts == 1
        client.run(item(3))


@pytest.fixture
def conflict(conn):
    """Return a batch that is always in conflict."""
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
                retry=Retry(attempts=5, before_sleep=lambda details: paused.append(details.sleep)),
            )
        assert is_after_a_conflict(answer, attempts=3)
        assert paused == [0, 0]

    def test_batch_without_time_to_retry_ends_as_the_attempt_before(self, client, conflict):
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
