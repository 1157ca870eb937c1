# SPDX-License-Identifier: MIT
"""Two transactions in an order that a lock forces: one holds it, the other is known to wait for it.

Who waits is asked of the server, again and again, so nothing depends on how fast anything is.
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
"""Seconds until a wait that never comes is a failure, and not a hanging run."""


def until_waits(observer: psycopg.Connection[Any], pid: int, work: Future[Any]) -> None:
    """Return when the server says that the session waits for a lock of another."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        # Waiting for the lock of a row is waiting for the transaction that holds it.
        row = observer.execute("SELECT pg_blocking_pids(%s) <> '{}'", [pid]).fetchone()
        if row is not None and row[0]:
            return
        assert not work.done(), f"it did not wait: {work.result()}"
    raise AssertionError(f"session {pid} never waited for a lock")


def until_readable(conn: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    """Return when something has come over the link, its end included."""
    readable, _, _ = select.select([conn.fileno()], [], [], TIMEOUT)
    assert readable, "nothing came"


class Race:
    """A batch that is half-way through, and another that waits for it."""

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
        """Run one batch but for its COMMIT, the other until it waits, and let them both end.

        :param rollback: whether the one that is held open is rolled back in the end.
        :param options: of the waiting batch; the isolation is that of the other one too.
        :return: what became of the one that waited.
        """
        self.first.isolation_level = options.get("isolation")
        with self.first.transaction(force_rollback=rollback):
            batchq.run(self.first, held, nested=True)
            work = self.submit(attempt, self.second, waiting, **options)
        return work.result()

    def submit(self, work: Callable[..., T], *args: Any, **options: Any) -> Future[T]:
        """Begin something on the second connection, and return when it waits for a lock."""
        begun = self._threads.submit(work, *args, **options)
        until_waits(self._observer, self.second.info.backend_pid, begun)
        return begun


@contextmanager
def race(connect: Callable[..., psycopg.Connection[Any]]) -> Iterator[Race]:
    """Set up a race; a thread that still waits at its end is let go first."""
    with ThreadPoolExecutor(1) as threads:
        made = Race(connect, threads)
        try:
            yield made
        finally:
            made.first.close()
