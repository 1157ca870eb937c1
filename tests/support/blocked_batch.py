# SPDX-License-Identifier: MIT
"""A batch that a test can block: one of its steps waits for a row's lock.

The server is polled for that, so what the test does next happens during the batch.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

import batchq
from tests.support.clients import item

BLOCKED_BATCH = batchq.gather(item(1), batchq.update("item", {"size": 2}, {"id": 0}), item(3))


def lock_row(holder: psycopg.Connection[Any]) -> None:
    """Take the lock that BLOCKED_BATCH waits for; ROLLBACK releases it."""
    holder.execute("INSERT INTO item VALUES (0, 1)")
    holder.execute("BEGIN")
    holder.execute("SELECT FROM item WHERE id = 0 FOR UPDATE")


def waits(observer: psycopg.Connection[Any], pid: int) -> bool:
    """Return True if the session waits for a lock of another one."""
    row = observer.execute("SELECT pg_blocking_pids(%s) <> '{}'", [pid]).fetchone()
    assert row is not None
    return bool(row[0])


@contextmanager
def once_blocked(
    observer: psycopg.Connection[Any], pid: int, do: Callable[[], object]
) -> Iterator[None]:
    """Call a function in another thread as soon as the session waits for a lock."""
    over = threading.Event()
    raised: list[BaseException] = []

    def work() -> None:
        try:
            while not waits(observer, pid):
                if over.is_set():
                    return
            do()
        except BaseException as error:  # noqa: BLE001  raised again in the test's thread
            raised.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if raised:
        raise raised[0]


def interrupt_main() -> None:
    """Send Ctrl-C to the main thread once it waits for the socket.

    The server may block before the client has done so: then the interrupt would end the sending,
    and no answer would be read.
    """
    main = threading.main_thread().ident
    assert main is not None
    while sys._current_frames()[main].f_code.co_name != "drive":
        os.sched_yield()
    signal.pthread_kill(main, signal.SIGINT)
