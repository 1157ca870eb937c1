# SPDX-License-Identifier: MIT
"""Run two transactions in an order that a lock forces: one holds it, the other waits for it.

The server is polled for the waiting session, so the order does not depend on timing.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg

import batchq
from batchq.result import Failed, Ok, attempt

T = TypeVar("T")

TIMEOUT = 300
"""Seconds after which a wait that never happens fails the test, instead of hanging the run."""


def until_waits(observer: psycopg.Connection[Any], pid: int, work: Future[Any]) -> None:
    """Return once the session waits for a lock of another one, according to the server."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        # A session that waits for a row's lock waits for the transaction that holds it.
        row = observer.execute("SELECT pg_blocking_pids(%s) <> '{}'", [pid]).fetchone()
        if row is not None and row[0]:
            return
        assert not work.done(), f"it did not wait: {work.result()}"
    raise AssertionError(f"session {pid} never waited for a lock")


def until_readable(conn: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    """Return once bytes have arrived, or the end of file."""
    readable, _, _ = select.select([conn.fileno()], [], [], TIMEOUT)
    assert readable, "nothing came"


class Race:
    """A batch that is not finished, and another one that waits for its lock."""

    def __init__(
        self, connect: Callable[..., psycopg.Connection[Any]], threads: ThreadPoolExecutor
    ) -> None:
        self._observer, self.first, self.second = connect(), connect(), connect()
        self._threads = threads

    def run(
        self,
        held: batchq.Batch[Any],
        waiting: batchq.Batch[Any],
        *,
        rollback: bool = False,
        **options: Any,
    ) -> Ok[Any] | Failed:
        """Run one batch without its COMMIT, the other until it waits, and let both finish.

        :param rollback: roll the first batch back.
        :param options: options of the waiting batch; the isolation is used for both.
        :return: result of the batch that waited.
        """
        self.first.isolation_level = options.get("isolation")
        with self.first.transaction(force_rollback=rollback):
            batchq.run(self.first, held, nested=True)
            work = self.submit(attempt, self.second, waiting, **options)
        return work.result()

    def submit(self, work: Callable[..., T], *args: Any, **options: Any) -> Future[T]:
        """Start work on the second connection, and return once it waits for a lock."""
        begun = self._threads.submit(work, *args, **options)
        until_waits(self._observer, self.second.info.backend_pid, begun)
        return begun


@contextmanager
def race(connect: Callable[..., psycopg.Connection[Any]]) -> Iterator[Race]:
    """Set up a race; at its end the first connection is closed, so that no thread waits."""
    with ThreadPoolExecutor(1) as threads:
        made = Race(connect, threads)
        try:
            yield made
        finally:
            made.first.close()
