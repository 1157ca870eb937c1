# SPDX-License-Identifier: MIT
"""A cancel request takes no longer than it is given, whatever libpq psycopg was built for."""

from __future__ import annotations

import threading

import psycopg
import pytest

from batchq.running.stopping import ask_to_stop, ask_to_stop_async
from tests.support.waiting import PATIENCE


@pytest.fixture(autouse=True)
def old_libpq(monkeypatch):
    """A libpq before 17."""
    monkeypatch.setattr("psycopg.capabilities.has_cancel_safe", lambda: False)


class Canceling:
    """``Connection.cancel``, which blocks until the server has hung up."""

    def __init__(self):
        self.asked, self.over = threading.Event(), threading.Event()

    def __call__(self):
        self.asked.set()
        assert self.over.wait(PATIENCE)
        raise psycopg.OperationalError("too late, and nobody hears it")


@pytest.fixture
def canceling():
    made = Canceling()
    yield made
    made.over.set()


class TestBeforeLibpq17:
    def test_nobody_waits_for_the_thread_that_blocks(self, conn, canceling, monkeypatch):
        monkeypatch.setattr("psycopg.pq.__impl__", "python")
        conn.cancel = canceling
        ask_to_stop(conn, 0.01)
        assert canceling.asked.wait(PATIENCE)
        assert not canceling.over.is_set()

    async def test_no_task_waits_for_it_either(self, database, canceling, monkeypatch):
        monkeypatch.setattr("psycopg.pq.__impl__", "python")
        async with await psycopg.AsyncConnection.connect(database) as mine:
            mine.cancel = canceling
            await ask_to_stop_async(mine, 0.01)
            assert canceling.asked.wait(PATIENCE)
            assert not canceling.over.is_set()

    def test_a_compiled_psycopg_would_block_all_threads_and_asks_nobody(self, conn, monkeypatch):
        monkeypatch.setattr("psycopg.pq.__impl__", "c")
        conn.cancel = pytest.fail
        ask_to_stop(conn, 0.01)
