# SPDX-License-Identifier: MIT
"""The server crashes or ends the session, before, during and after a batch."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest

from batchq import ConnectionFailed, Outcome, OutcomeUnknown, gather
from tests.support.blocked_batch import BLOCKED_BATCH, lock_row, once_blocked
from tests.support.clients import ITEMS, AsyncClient, SyncClient, item
from tests.support.lock_waits import until_readable


@pytest.fixture
def crash(restartable):
    """Create the table past the client."""
    with psycopg.connect(restartable.conninfo(), autocommit=True) as direct:
        direct.execute(ITEMS)
    return restartable


def kept(crash):
    """Return the ids of the items after the crash."""
    crash.restart()
    with psycopg.connect(crash.conninfo()) as direct:
        return [key for (key,) in direct.execute("SELECT id FROM item WHERE id > 0 ORDER BY id")]


clients = pytest.mark.parametrize("kind", [SyncClient, AsyncClient], ids=["sync", "async"])


@clients
def test_a_server_killed_before_the_batch_has_kept_nothing(crash, kind):
    with kind(crash.conninfo(tcp=True)) as client:
        crash.kill()
        until_readable(client.conn)
        answer = client.attempt(gather(item(1), item(2)))
        assert isinstance(answer.error, ConnectionFailed)
        assert answer.outcome is Outcome.NOT_SENT
        assert client.conn.closed
        again = client.attempt(item(3))
        assert isinstance(again.error, ConnectionFailed)
        assert again.outcome is Outcome.NOT_SENT
    assert kept(crash) == []


@clients
def test_a_server_killed_during_the_batch_leaves_the_outcome_unknown(crash, kind):
    with (
        closing(psycopg.connect(crash.conninfo(), autocommit=True)) as holder,
        closing(psycopg.connect(crash.conninfo(), autocommit=True)) as observer,
        kind(crash.conninfo(tcp=True)) as client,
    ):
        lock_row(holder)
        with once_blocked(observer, client.conn.info.backend_pid, crash.kill):
            answer = client.attempt(BLOCKED_BATCH)
        assert isinstance(answer.error, OutcomeUnknown)
        assert answer.report.step is None
        assert client.conn.closed
    assert kept(crash) == []


@clients
def test_a_server_killed_after_the_batch_has_kept_it(crash, kind):
    with kind(crash.conninfo(tcp=True)) as client:
        client.run(gather(item(1), item(2)))
        crash.kill()
        until_readable(client.conn)
        assert client.attempt(item(3)).outcome is Outcome.NOT_SENT
    assert kept(crash) == [1, 2]


class TestTermination:
    """``pg_terminate_backend``: the session ends with FATAL 57P01."""

    @pytest.fixture(params=[SyncClient, AsyncClient], ids=["sync", "async"])
    def client(self, request, database, conn):
        conn.execute(ITEMS)
        with request.param(database) as client:
            yield client

    def terminate(self, conn, client):
        assert conn.execute(
            "SELECT pg_terminate_backend(%s, 10000)", [client.conn.info.backend_pid]
        ).fetchone() == (True,)

    def test_shutdown_during_a_step_rolls_back_and_names_no_step(self, client, conn, connect):
        lock_row(connect())
        pid = client.conn.info.backend_pid
        with once_blocked(conn, pid, lambda: self.terminate(conn, client)):
            answer = client.attempt(BLOCKED_BATCH)
        assert isinstance(answer.error, ConnectionFailed)
        assert answer.outcome is Outcome.ROLLED_BACK
        assert answer.report.violation.sqlstate == "57P01"
        assert answer.report.step is None
        assert isinstance(answer.error.__cause__, psycopg.errors.AdminShutdown)
        assert client.conn.closed
        assert conn.execute("SELECT id FROM item WHERE id > 0").fetchall() == []

    @pytest.mark.parametrize("nested", [False, True], ids=["of its own", "nested"])
    def test_before_the_batch_nothing_is_sent(self, client, conn, nested):
        if nested:
            client.execute("BEGIN")
        self.terminate(conn, client)
        until_readable(client.conn)
        answer = client.attempt(item(1), nested=nested)
        assert isinstance(answer.error, ConnectionFailed)
        assert answer.outcome is Outcome.NOT_SENT
        assert answer.report.violation.sqlstate == "57P01"
        assert isinstance(answer.error.__cause__, psycopg.errors.AdminShutdown)
        assert client.conn.closed
        assert conn.execute("SELECT count(*) FROM item").fetchone() == (0,)

    def test_after_the_batch_it_takes_nothing_back(self, client, conn):
        client.run(item(1))
        self.terminate(conn, client)
        assert conn.execute("SELECT id FROM item").fetchall() == [(1,)]
