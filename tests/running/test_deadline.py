# SPDX-License-Identifier: MIT
"""A deadline for the whole of a run: valid values, what the server gets, what was not sent."""

from __future__ import annotations

import asyncio
import math
import threading
from datetime import timedelta
from fractions import Fraction

import pytest

import batchq
from batchq import DeadlineExceeded, InvalidBatch, Outcome, gather, sql
from batchq.engine.dialects import COCKROACHDB
from batchq.engine.wire.liveness import Watched
from batchq.result import Ok
from batchq.running import waiting
from batchq.testing import proxy
from tests.support.clients import ITEMS, AsyncClient, SyncClient, item, parsed
from tests.support.clock import LONG, overtaken, standing_clock
from tests.support.lock_waits import TIMEOUT, race

SOON = 0.2
"""Seconds until a deadline that is to pass; nothing depends on how exactly it does."""


def setting(name):
    return sql("SELECT current_setting(%(name)s::text)", name=name).scalar(str)


@pytest.fixture
def limit(conn):
    """Return the name of the setting that limits the server."""
    return "transaction_timeout" if conn.info.server_version >= 170000 else "statement_timeout"


class TestTheOption:
    @pytest.mark.parametrize(
        "deadline",
        [0, 0.0, -1, math.nan, math.inf, 10**400, "1", True, timedelta(0), timedelta(days=-1), [1]],
        ids=str,
    )
    def test_deadline_that_is_not_a_positive_finite_number_is_rejected(
        self, client, conn, deadline
    ):
        with pytest.raises(InvalidBatch, match="more than 0 and finite"):
            client.run(item(1), deadline=deadline)
        assert conn.execute("SELECT count(*) FROM item").fetchone() == (0,)

    @pytest.mark.parametrize(
        "deadline", [0.5e9, 1e300, 60, Fraction(61, 2), timedelta(days=36500)], ids=str
    )
    def test_any_other_is_taken(self, client, deadline):
        assert client.run(sql("SELECT 1").scalar(int), deadline=deadline) == 1

    def test_deadline_cannot_be_combined_with_nested(self, connection):
        connection.execute("BEGIN")
        with pytest.raises(InvalidBatch, match=r"deadline=.*SET LOCAL .*outer transaction"):
            connection.run(item(1), nested=True, deadline=1)


class TestTheServer:
    @pytest.mark.parametrize(
        ("own", "inside"),
        [("0", "1h"), ("2h", "1h"), ("1d", "1h"), ("59min", "59min"), ("59999ms", "59999ms")],
    )
    def test_timeout_is_the_shorter_of_rest_and_session(self, connection, limit, own, inside):
        connection.execute(f"SET {limit} = '{own}'")
        with standing_clock():
            assert connection.run(setting(limit), deadline=LONG) == inside
        assert connection.run(setting(limit)) == own

    @pytest.mark.parametrize(("timeout", "statement"), [(60, "1min"), (7200, "2h")])
    def test_deadline_combines_with_a_statement_timeout(
        self, connection, limit, timeout, statement
    ):
        with standing_clock():
            found = connection.run(
                gather(setting("statement_timeout"), setting(limit)), timeout=timeout, deadline=LONG
            )
        if limit == "statement_timeout":  # the shorter of the two
            assert found == (min(statement, "1min"),) * 2 if timeout == 60 else ("1h",) * 2
        else:
            assert found == (statement, "1h")

    @pytest.mark.parametrize("timeout", [None, 60])
    def test_a_batch_that_begins_with_a_lock_asks_nothing_before_it(
        self, connection, limit, timeout
    ):
        connection.execute(f"SET {limit} = '2h'")
        first = sql("LOCK TABLE item IN SHARE MODE")
        with standing_clock():
            found = connection.run(gather(first, setting(limit)), deadline=LONG, timeout=timeout)
        shorter = timeout is not None and limit == "statement_timeout"
        assert found == (None, "1min" if shorter else "1h")

    def test_snapshot_is_taken_after_that_lock(self, connect, conn):
        conn.execute(ITEMS)
        with race(connect) as racing:
            racing.first.execute("BEGIN")
            racing.first.execute("LOCK TABLE item")
            batch = gather(sql("LOCK TABLE item"), sql("SELECT count(*) FROM item").scalar(int))
            found = racing.submit(
                batchq.run, racing.second, batch, deadline=LONG, isolation="repeatable read"
            )
            racing.first.execute("INSERT INTO item VALUES (1, 1)")
            racing.first.execute("COMMIT")
            assert found.result() == (None, 1)

    @pytest.mark.parametrize(
        ("own", "sent"),
        [("0", "5000"), ("0s", "5000"), ("7", "7"), ("60000", "5000"), ("", "5000")],
    )
    def test_cockroachdb_gets_milliseconds(self, conn, own, sent):
        """The text is read by PostgreSQL, which has the functions that it calls."""
        text = COCKROACHDB.limit_query(5_000, 130000).replace("transaction_timeout", "batchq.limit")
        conn.execute("SELECT set_config('batchq.limit', %s, false)", [own])
        assert conn.execute(text).fetchone() == (sent,)

    def test_nothing_of_it_is_prepared_and_it_takes_one_flight(self, database, conn):
        conn.execute(ITEMS)
        with proxy(database) as link, SyncClient(link.conninfo(), prepare_threshold=0) as client:
            for number in range(3):  # until all of the batch itself is prepared
                client.run(item(number), deadline=60 + number)
            link.hold(syncs=2)
            with link.record() as recording:
                client.run(item(3), deadline=63)
        assert parsed(recording) == [b""]
        assert recording.flights == 1

    def test_lost_client_leaves_no_locks(self, database, conn, limit, monkeypatch):
        """The server hears nothing more, not even that the connection was closed."""
        if limit == "statement_timeout":
            pytest.skip("before PostgreSQL 17 nothing ends a transaction that waits for its client")
        conn.execute(ITEMS)
        conn.execute("INSERT INTO item VALUES (1, 1)")
        monkeypatch.setattr(waiting, "GRACE", 0.02)
        with proxy(database) as link, SyncClient(link.conninfo(), prepare_threshold=None) as client:
            # BEGIN, the limit and the update get there, and not its end.
            link.silence_requests(after=len("PBDE" * 3))
            batch = gather(batchq.update("item", {"size": 2}, {"id": 1}), item(2))
            with overtaken(server=SOON) as clock:
                clock.step = 0.01
                assert client.attempt(batch, deadline=LONG).outcome is Outcome.UNKNOWN
            # Waits for the lock until the server has ended the other one.
            conn.execute(f"SET lock_timeout = '{TIMEOUT}s'")
            conn.execute("UPDATE item SET size = 3")
        assert conn.execute("SELECT id, size FROM item").fetchall() == [(1, 3)]


class TestWhatWasNotSent:
    def test_deadline_passes_while_waiting_for_the_connection(self, connection, conn):
        held = threading.Event()

        class Hold:
            """Takes the connection's lock, as another run would."""

            def __enter__(self):
                lock = connection.conn.lock
                if isinstance(lock, asyncio.Lock):
                    connection.loop.run(lock.acquire())
                else:
                    lock.acquire()
                held.set()

            def __exit__(self, *_):
                connection.conn.lock.release()

        with Hold():
            answer = connection.attempt(item(1), deadline=SOON)
        assert isinstance(answer.error, DeadlineExceeded)
        assert answer.outcome is Outcome.NOT_SENT
        assert "nothing was sent" in str(answer.error)
        connection.run(item(2))
        assert conn.execute("SELECT id FROM item").fetchall() == [(2,)]

    def test_deadline_passes_before_the_first_byte(self, connection, conn, monkeypatch):
        with standing_clock() as clock:
            monkeypatch.setattr(
                "batchq.engine.link_check.watched",
                lambda fd: Watched(fd, lambda _: clock.pass_by(LONG)),
            )
            answer = connection.attempt(item(1), deadline=LONG)
        assert isinstance(answer.error, DeadlineExceeded)
        assert answer.outcome is Outcome.NOT_SENT
        assert not connection.conn.closed
        assert conn.execute("SELECT count(*) FROM item").fetchone() == (0,)


@pytest.mark.parametrize("kind", [SyncClient, AsyncClient])
def test_no_deadline_asks_no_clock(database, conn, kind, monkeypatch):
    conn.execute(ITEMS)
    monkeypatch.setattr("batchq.engine.wire.deadline.monotonic", None)
    with kind(database) as client:
        assert isinstance(client.attempt(item(1)), Ok)
