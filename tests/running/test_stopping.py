# SPDX-License-Identifier: MIT
"""A cancel request takes no longer than it is given, whatever libpq psycopg was built for."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing

import psycopg
import pytest
from psycopg import capabilities

from batchq.running.cancel import request_cancel, request_cancel_async
from batchq.testing import proxy
from tests.support.lock_waits import TIMEOUT


@pytest.fixture
def old_libpq(monkeypatch):
    """Patch psycopg to behave as with a libpq before 17."""
    monkeypatch.setattr("psycopg.capabilities.has_cancel_safe", lambda: False)


class Blocking:
    """A connection whose cancel request blocks until the server has hung up."""

    def __init__(self):
        self.asked, self.over = threading.Event(), threading.Event()
        self.pgconn = self

    def get_cancel(self):
        return self

    def cancel(self):
        self.asked.set()
        assert self.over.wait(TIMEOUT)
        raise psycopg.OperationalError("too late, and unheard")


@pytest.fixture
def blocking():
    made = Blocking()
    yield made
    made.over.set()


@pytest.mark.usefixtures("old_libpq")
class TestBeforeLibpq17:
    def test_blocked_thread_is_not_waited_for(self, blocking, monkeypatch):
        monkeypatch.setattr("psycopg.pq.__impl__", "python")
        assert not request_cancel(blocking, 0.01)
        assert blocking.asked.wait(TIMEOUT)
        assert not blocking.over.is_set()

    async def test_no_task_waits_for_it_either(self, blocking, monkeypatch):
        monkeypatch.setattr("psycopg.pq.__impl__", "python")
        assert not await request_cancel_async(blocking, 0.01)
        assert blocking.asked.wait(TIMEOUT)
        assert not blocking.over.is_set()

    async def test_compiled_psycopg_would_block_all_threads(self, blocking, monkeypatch):
        monkeypatch.setattr("psycopg.pq.__impl__", "c")
        assert request_cancel(blocking, 0.01)
        assert await request_cancel_async(blocking, 0.01)
        assert not blocking.asked.is_set()


@pytest.mark.skipif(not capabilities.has_cancel_safe(), reason="takes libpq 17")
class TestFromLibpq17On:
    @pytest.fixture
    def silent(self, database):
        """Open a proxy that is silent from the next flight on."""
        with proxy(database) as link:
            link.silence_requests(after=0)
            yield link

    def test_unsent_request_is_distinguished_from_a_sent_one(self, silent, conn):
        assert request_cancel(conn, TIMEOUT)
        with closing(psycopg.connect(silent.conninfo())) as mine:
            mine.pgconn.send_query(b"SELECT 1")
            assert silent.silenced.wait(TIMEOUT)
            assert not request_cancel(mine, 0.01)

    async def test_and_so_it_is_for_a_task(self, silent, database):
        async with await psycopg.AsyncConnection.connect(database) as mine:
            assert await request_cancel_async(mine, TIMEOUT)
        mine = await psycopg.AsyncConnection.connect(silent.conninfo())
        mine.pgconn.send_query(b"SELECT 1")
        assert await asyncio.to_thread(silent.silenced.wait, TIMEOUT)
        assert not await request_cancel_async(mine, 0.01)
        await mine.close()
