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


class Blocking:
    """A connection whose cancel request blocks until the server has hung up."""

    def __init__(self):
        self.asked, self.over = threading.Event(), threading.Event()
        self.pgconn = self

    def get_cancel(self):
        return self

    def cancel(self):
        self.asked.set()
        assert self.over.wait(PATIENCE)
        raise psycopg.OperationalError("too late, and nobody hears it")


@pytest.fixture
def blocking():
    made = Blocking()
    yield made
    made.over.set()


class TestBeforeLibpq17:
    def test_nobody_waits_for_the_thread_that_blocks(self, blocking, monkeypatch):
        monkeypatch.setattr("psycopg.pq.__impl__", "python")
        ask_to_stop(blocking, 0.01)
        assert blocking.asked.wait(PATIENCE)
        assert not blocking.over.is_set()

    async def test_no_task_waits_for_it_either(self, blocking, monkeypatch):
        monkeypatch.setattr("psycopg.pq.__impl__", "python")
        await ask_to_stop_async(blocking, 0.01)
        assert blocking.asked.wait(PATIENCE)
        assert not blocking.over.is_set()

    async def test_a_compiled_psycopg_would_block_all_threads_and_asks_nobody(
        self, blocking, monkeypatch
    ):
        monkeypatch.setattr("psycopg.pq.__impl__", "c")
        ask_to_stop(blocking, 0.01)
        await ask_to_stop_async(blocking, 0.01)
        assert not blocking.asked.is_set()
