# SPDX-License-Identifier: MIT
"""Running again: after a serialization conflict, wherever the batch runs."""

from __future__ import annotations

import sys
from datetime import timedelta

import pytest
from psycopg import IsolationLevel

import batchq
from batchq import (
    GuardFailed,
    Outcome,
    OutcomeUnknown,
    Retry,
    SerializationConflict,
    StatementCanceled,
    UnmappedViolation,
    gather,
    sql,
    sqlstate,
)
from batchq.result import Failed
from tests.support.blocked_batch import BLOCKED_BATCH, lock_row, once_blocked
from tests.support.clients import item

READ = sql("SELECT 1").scalar(int)


class Busy(Exception):
    pass


def failing(times, code):
    """Return a statement that fails this often, counted by a sequence: no rollback resets it."""
    return sql("SELECT fail(%(times)s, %(code)s::text)", times=times, code=code).scalar(int)


@pytest.fixture(autouse=True)
def fail(conn, items):
    conn.execute("CREATE SEQUENCE tried")
    conn.execute(
        "CREATE FUNCTION fail(times bigint, code text) RETURNS int LANGUAGE plpgsql AS $$BEGIN "
        "IF nextval('tried') <= times THEN RAISE EXCEPTION 'no' USING ERRCODE = code; END IF; "
        "RETURN currval('tried'); END$$"
    )


def tried(conn):
    return conn.execute("SELECT last_value FROM tried WHERE is_called").fetchone()[0]


def ids(conn):
    return [key for (key,) in conn.execute("SELECT id FROM item WHERE id > 0 ORDER BY id")]


def retry(attempts=5, **kwargs):
    """No sleep, so that no test has to wait."""
    return Retry(attempts=attempts, backoff=0, **kwargs)


@pytest.mark.parametrize("code", ["40001", "40P01"])
def test_a_conflict_is_retried_until_it_succeeds(client, conn, code):
    assert client.run(gather(item(1), failing(3, code)), retry=retry()) == (None, 4)
    assert ids(conn) == [1]


def test_without_retry_it_is_not(client, conn):
    answer = client.attempt(failing(1, "40001"))
    assert isinstance(answer.error, SerializationConflict)
    assert answer.report.attempts == 1
    assert tried(conn) == 1


def test_a_conflict_of_two_real_transactions(connection, conn, connect):
    """The row that the batch waits for is changed by another transaction, which commits."""
    holder = connect()
    lock_row(holder)

    def change():
        holder.execute("UPDATE item SET size = 9 WHERE id = 0")
        holder.execute("COMMIT")

    seen = []
    with once_blocked(conn, connection.conn.info.backend_pid, change):
        connection.run(
            gather(sql("SELECT FROM item"), BLOCKED_BATCH),
            isolation=IsolationLevel.REPEATABLE_READ,
            retry=retry(before_sleep=seen.append),
        )
    assert [one.report.violation.sqlstate for one in seen] == ["40001"]
    assert ids(conn) == [1, 3]
    assert conn.execute("SELECT size FROM item WHERE id = 0").fetchone() == (2,)


def test_the_hook_sees_every_conflict_but_the_last(client, conn):
    seen = []
    answer = client.attempt(
        gather(item(1), failing(9, "40001").label("here")),
        retry=retry(3, before_sleep=lambda one: seen.append((one, one.report.attempts))),
    )
    assert isinstance(answer.error, SerializationConflict)
    assert answer.report.attempts == 3
    assert answer.outcome is Outcome.ROLLED_BACK
    assert tried(conn) == 3
    assert [(one.attempt, attempts, one.sleep) for one, attempts in seen] == [(1, 1, 0), (2, 2, 0)]
    assert all(one.report.path == "here" for one, _ in seen)
    assert ids(conn) == []


def test_one_attempt_is_not_a_retry(client, conn):
    seen = []
    answer = client.attempt(failing(9, "40001"), retry=retry(1, before_sleep=seen.append))
    assert (answer.report.attempts, tried(conn), seen) == (1, 1, [])


@pytest.mark.parametrize("attempts", [2, 5])
def test_a_conflict_that_is_mapped_is_retried_and_then_mapped(client, conn, attempts):
    batch = failing(3, "40001").on(sqlstate("40001"), Busy())
    answer = client.attempt(batch, retry=retry(attempts))
    if attempts == 5:
        assert answer.value == 4
        return
    assert isinstance(answer.error, Busy)
    assert isinstance(answer.error.__cause__, SerializationConflict)
    assert answer.report.attempts == 2


ANOTHER = {
    "40003": OutcomeUnknown,
    "23505": UnmappedViolation,
    "40002": UnmappedViolation,
    "55P03": UnmappedViolation,
    "57014": StatementCanceled,
}


@pytest.mark.parametrize(("code", "cls"), ANOTHER.items())
def test_another_error_is_not_retried(client, conn, code, cls):
    answer = client.attempt(failing(3, code), retry=retry())
    assert type(answer.error) is cls
    assert answer.report.attempts == 1
    assert tried(conn) == 1


def test_a_guard_is_not_retried(client, conn):
    batch = gather(failing(0, "40001"), batchq.delete("item", {"id": 7}).expect(1))
    assert isinstance(client.attempt(batch, retry=retry()).error, GuardFailed)
    assert tried(conn) == 1


def test_a_decode_error_is_not_retried(client, conn):
    batch = gather(item(1), failing(0, "40001")).map(lambda _: 1 / 0)
    assert isinstance(client.attempt(batch, retry=retry()), Failed)
    assert tried(conn) == 1
    assert ids(conn) == [1]


def test_another_error_after_a_conflict_ends_the_retries_and_counts_them(client, conn):
    batch = gather(failing(2, "40001"), sql("SELECT 1/0"))
    answer = client.attempt(batch, retry=retry())
    assert answer.report.violation.sqlstate == "22012"
    assert answer.report.attempts == 3


def test_a_pool_has_its_connection_back_between_attempts(pool):
    available = []
    pool.run(
        failing(2, "40001"),
        retry=retry(
            before_sleep=lambda _: available.append(pool.pool.get_stats()["pool_available"])
        ),
    )
    assert available == [1, 1]


class TestArguments:
    def test_retry_has_defaults_and_a_repr(self):
        assert repr(Retry(attempts=3)) == "Retry(attempts=3, backoff=0.05, max_backoff=2.0)"

    def test_times_are_seconds_or_timedeltas(self):
        assert Retry(backoff=timedelta(milliseconds=5), max_backoff=timedelta(seconds=1)) == Retry(
            backoff=0.005, max_backoff=1
        )

    @pytest.mark.parametrize(
        "wrong",
        [
            {"attempts": 0},
            {"attempts": -1},
            {"backoff": -0.1},
            {"max_backoff": -1},
            {"backoff": timedelta(seconds=-1)},
        ],
        ids=str,
    )
    def test_contradictory_arguments_are_rejected(self, wrong):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Retry(**wrong)

    @pytest.mark.parametrize(
        ("seconds", "message"),
        [
            (-0.1, "0 seconds or more"),
            (float("-inf"), "0 seconds or more"),
            (float("nan"), "0 seconds or more"),
            (float("inf"), "at most"),
            (1e30, "at most"),
        ],
    )
    @pytest.mark.parametrize("name", ["backoff", "max_backoff"])
    def test_invalid_time_and_too_long_time_are_two_mistakes(self, name, seconds, message):
        with pytest.raises(ValueError, match=message):
            Retry(**{name: seconds})

    def test_retry_is_immutable_and_can_be_shared(self, client):
        policy = retry()
        with pytest.raises(AttributeError):
            policy.attempts = 7
        assert client.run(failing(2, "40001"), retry=policy) == 3
        assert client.run(READ, retry=policy) == 1


def test_without_tenacity_none_can_be_made(client, monkeypatch):
    monkeypatch.setitem(sys.modules, "tenacity", None)
    with pytest.raises(ModuleNotFoundError, match=r"batchq\[retry\]"):
        retry()
    assert client.run(READ) == 1
