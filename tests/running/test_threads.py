# SPDX-License-Identifier: MIT
"""Threads: a batch is a value that all may run, and a connection serves one after the other."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg_pool import ConnectionPool

import batchq
from batchq import gather, sql
from batchq.result import Failed, Ok, attempt
from tests.support.blocked_batch import BLOCKED_BATCH, lock_row, waits
from tests.support.clients import ITEMS, item

READ = sql("SELECT 1").scalar(int)


@pytest.fixture(autouse=True)
def items(conn):
    conn.execute(ITEMS)


def test_eight_threads_run_the_same_value_over_a_pool(database, conn):
    conn.execute("INSERT INTO item VALUES (0, 1)")
    grow = batchq.update("item", {"size": sql("size + 1")}, {"id": 0}).expect(1)
    batch = gather(grow, READ, grow).map(lambda results: results[1])
    with (
        ConnectionPool(database, min_size=4, max_size=4, open=True) as pool,
        ThreadPoolExecutor(8) as threads,
    ):
        results = list(threads.map(lambda _: batchq.run(pool, batch), range(80)))
    assert results == [1] * 80
    assert conn.execute("SELECT size FROM item").fetchone() == (161,)


def test_threads_that_share_a_connection_take_turns(connect, conn):
    shared = connect()

    def attempt_one(n):
        return attempt(shared, gather(item(n), item(-n - 1, size=n % 2)).map(lambda _: n))

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(attempt_one, range(80)))
    # Every other one fails; and each thread has the answer to its own batch.
    assert all(isinstance(answer, Failed) for answer in answers[::2])
    assert [answer.value for answer in answers[1::2]] == list(range(1, 80, 2))
    assert not shared.closed
    assert conn.execute("SELECT count(*) FROM item").fetchone() == (80,)


class Handover:
    """A lock whose first holder, having let go of it, stands still until the next is at work."""

    def __init__(self, lock, at_work):
        self.lock, self.at_work, self.first = lock, at_work, True

    def __enter__(self):
        self.lock.acquire()

    def __exit__(self, *_):
        first, self.first = self.first, False
        self.lock.release()
        if first:
            self.at_work()


def test_a_thread_that_has_finished_leaves_the_next_ones_batch_alone(connect, conn):
    holder, shared = connect(), connect()
    lock_row(holder)
    pid = shared.info.backend_pid
    answers = {}

    def work(name, batch):
        answers[name] = attempt(shared, batch)

    second = threading.Thread(target=work, args=["second", BLOCKED_BATCH], daemon=True)

    def let_second_work():
        second.start()
        while second.is_alive() and not waits(conn, pid):
            pass

    shared.lock = Handover(shared.lock, let_second_work)
    work("first", READ)
    holder.execute("ROLLBACK")
    second.join()
    assert not shared.closed
    assert isinstance(answers["first"], Ok)
    assert isinstance(answers["second"], Ok)
    assert conn.execute("SELECT id FROM item WHERE id > 0 ORDER BY id").fetchall() == [(1,), (3,)]
