# SPDX-License-Identifier: MIT
"""A server is restarted, or crashes, under 16 workers that share a pool and retry: every request is
answered, and what the answers say of the rows is true."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from batchq import OutcomeUnknown, Retry, gather, insert
from batchq.result import Ok, aattempt, attempt

WORKERS = 16
BEFORE, AFTER = 10, 5
"""How many requests each worker makes before the server is stopped, and after it is there again."""
RETRY = Retry(attempts=3, backoff=0.01)
ENDS = {
    "restart": lambda running: running.restart(),
    "crash": lambda running: (running.kill(), running.restart()),
}


def request(number):
    """Two rows that belong together, and that no other request writes; a second time is refused."""
    return gather(insert("wrote", {"id": 2 * number}), insert("wrote", {"id": 2 * number + 1}))


class Book:
    """The requests, and their answers."""

    def __init__(self):
        self.answers, self.ready, self.again = {}, threading.Semaphore(0), threading.Event()

    def numbers(self, worker):
        """Yield the numbers of a worker's requests, to be answered one after the other."""
        made = 0
        while made < BEFORE or not self.again.is_set():
            yield worker + WORKERS * made
            made += 1
            if made == BEFORE:
                self.ready.release()
        for more in range(AFTER):
            yield worker + WORKERS * (made + more)

    def stop(self, running, end):
        """Stop the server while all are at work, and let it come back."""
        for _ in range(WORKERS):
            self.ready.acquire()
        end(running)
        self.again.set()

    def check(self, running):
        with psycopg.connect(running.conninfo()) as conn:
            rows = Counter(key // 2 for (key,) in conn.execute("SELECT id FROM wrote"))
        answers = {
            number: type(answer) if isinstance(answer, Ok) else type(answer.error)
            for number, answer in self.answers.items()
        }
        committed = {number for number, kind in answers.items() if kind is Ok}
        unknown = {number for number, kind in answers.items() if kind is OutcomeUnknown}
        assert len(answers) == len(committed) + len(unknown), Counter(answers.values())
        assert set(rows.values()) == {2}, "a request is wholly there or absent"
        assert rows.keys() - unknown == committed
        assert len(unknown) <= WORKERS


@pytest.fixture
def running(restartable):
    with psycopg.connect(restartable.conninfo()) as conn:
        conn.execute("CREATE TABLE wrote (id int PRIMARY KEY)")
    return restartable


SETTINGS = {"min_size": WORKERS, "max_size": WORKERS, "timeout": 300}
"""The pool's timeout does not matter here, however busy the machine is."""


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_threads_are_all_answered_and_nothing_is_done_twice(running, end):
    book = Book()

    def work(worker):
        for number in book.numbers(worker):
            book.answers[number] = attempt(pool, request(number), retry=RETRY)

    with ConnectionPool(running.conninfo(tcp=True), open=True, **SETTINGS) as pool:
        pool.wait()
        with ThreadPoolExecutor(WORKERS) as threads:
            at_work = [threads.submit(work, worker) for worker in range(WORKERS)]
            book.stop(running, end)
        for one in at_work:
            one.result()
    book.check(running)


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_tasks_are_all_answered_and_nothing_is_done_twice(running, end):
    book = Book()

    async def work(worker):
        for number in book.numbers(worker):
            book.answers[number] = await aattempt(pool, request(number), retry=RETRY)

    async with AsyncConnectionPool(running.conninfo(tcp=True), open=False, **SETTINGS) as pool:
        await pool.wait()
        stopped = asyncio.to_thread(book.stop, running, end)
        await asyncio.gather(stopped, *(work(worker) for worker in range(WORKERS)))
    book.check(running)
