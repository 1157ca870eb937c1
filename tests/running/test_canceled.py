# SPDX-License-Identifier: MIT
"""A statement that the server cancels, 57014: by whom, as far as that can be known, and with what
left over."""

from __future__ import annotations

from datetime import timedelta

import pytest

import batchq
from batchq import InvariantViolation, Outcome, StatementCanceled, gather, sql, sqlstate
from batchq.result import attempt
from tests.support.blocked_batch import BLOCKED_BATCH, lock_row, once_blocked
from tests.support.clients import item

READ = sql("SELECT 1").scalar(int)
SLOW = sql("SELECT pg_sleep(600)").label("slow")
SLOW_COMMIT = """
CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN UPDATE item SET size = 3 WHERE id = 0; RETURN NULL; END$$;
CREATE CONSTRAINT TRIGGER stall AFTER INSERT ON item DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.id > 0) EXECUTE FUNCTION stall()
"""


class Slow(Exception):
    pass


def ids(conn):
    return [key for (key,) in conn.execute("SELECT id FROM item WHERE id > 0 ORDER BY id")]


@pytest.mark.parametrize("timeout", [0.01, timedelta(milliseconds=10)], ids=str)
def test_a_timeout_is_named(client, conn, timeout):
    answer = client.attempt(gather(item(1), item(3), SLOW, item(2)), timeout=timeout)
    assert type(answer.error) is StatementCanceled
    assert answer.error is answer.report
    assert answer.error.timeout == 0.01
    assert answer.error.statement is SLOW
    assert (answer.error.index, answer.error.path) == (2, "slow")
    assert answer.outcome is Outcome.ROLLED_BACK
    assert answer.report.violation.sqlstate == "57014"
    assert "by timeout=0.01" in str(answer.error)
    assert '.on(sqlstate("57014"), ' in str(answer.error)
    assert ids(conn) == []
    assert client.run(READ) == 1


def test_cancellation_is_recognized_in_each_server_language(connection):
    """Its message is translated, so it is not read."""
    connection.execute(
        "CREATE FUNCTION cancel() RETURNS int LANGUAGE plpgsql AS $$BEGIN "
        "RAISE 'storniere Anfrage wegen Zeitüberschreitung' USING ERRCODE = '57014'; END$$"
    )
    answer = connection.attempt(sql("SELECT cancel()"), timeout=5)
    assert type(answer.error) is StatementCanceled
    assert answer.error.timeout == 5
    assert "by timeout=5" in str(answer.error)


def test_without_timeout_the_session_or_a_cancel_request_did(connection, conn):
    connection.execute("SET statement_timeout = 10")
    answer = connection.attempt(gather(item(1), SLOW))
    assert type(answer.error) is StatementCanceled
    assert answer.error.timeout is None
    assert "timeout= was unset" in str(answer.error)
    assert ids(conn) == []


@pytest.mark.parametrize("options", [{}, {"timeout": 60}, {"nested": True}], ids=str)
def test_a_cancel_request_is_reported(connection, conn, connect, options):
    nested = options.get("nested", False)
    if nested:
        connection.execute("BEGIN")
    lock_row(connect())
    pid = connection.conn.info.backend_pid
    with once_blocked(conn, pid, lambda: conn.execute("SELECT pg_cancel_backend(%s)", [pid])):
        answer = connection.attempt(BLOCKED_BATCH, **options)
    assert type(answer.error) is StatementCanceled
    assert answer.error.timeout == options.get("timeout")
    assert answer.report.index == 1
    assert "cancel request" in str(answer.error)
    assert answer.outcome is Outcome.ROLLED_BACK
    assert not connection.conn.closed
    if nested:
        connection.execute("COMMIT")
    assert ids(conn) == []


@pytest.mark.usefixtures("items")
def test_cancel_of_the_connection_is_a_cancel_request(connect, conn):
    lock_row(connect())
    mine = connect()
    with once_blocked(conn, mine.info.backend_pid, mine.cancel_safe):
        answer = attempt(mine, BLOCKED_BATCH)
    assert type(answer.error) is StatementCanceled
    assert ids(conn) == []


@pytest.mark.parametrize("timeout", [None, 60], ids=["no timeout", "a timeout"])
def test_at_commit_it_was_a_cancel_request(connection, conn, connect, timeout):
    """No statement_timeout reaches COMMIT, so it is not named."""
    conn.execute(SLOW_COMMIT)
    lock_row(connect())
    pid = connection.conn.info.backend_pid
    with once_blocked(conn, pid, lambda: conn.execute("SELECT pg_cancel_backend(%s)", [pid])):
        answer = connection.attempt(item(1), timeout=timeout)
    assert type(answer.error) is StatementCanceled
    assert answer.error.timeout is None
    assert answer.error.step is None
    assert "statement_timeout does not apply to COMMIT" in str(answer.error)
    assert answer.outcome is Outcome.ROLLED_BACK
    assert ids(conn) == []


def test_what_is_mapped_is_raised_from_it(client):
    answer = client.attempt(SLOW.on(sqlstate("57014"), Slow), timeout=0.01)
    assert isinstance(answer.error, Slow)
    assert type(answer.report) is StatementCanceled
    assert answer.error.__cause__ is answer.report
    assert "mapped to Slow" in str(answer.report)


def test_invariant_stays_an_invariant(client):
    mapped = SLOW.on(sqlstate("57014"), Slow).as_invariant("waiting")
    answer = client.attempt(mapped, timeout=0.01)
    assert isinstance(answer.error, InvariantViolation)
    assert answer.error.context == "waiting"


def test_a_lock_that_is_not_had_is_the_statements_own_answer(connection, connect):
    """55P03, by lock_timeout or NOWAIT, is asked for: it is mapped, as any other."""
    lock_row(connect())
    take = (
        batchq.select("item", where={"id": 0})
        .for_update()
        .expect(1, missing=Slow)
        .on(sqlstate("55P03"), Slow("taken"))
    )
    connection.execute("SET lock_timeout = 1")
    answer = connection.attempt(take)
    assert str(answer.error) == "taken"
    assert type(answer.report) is batchq.BatchError
