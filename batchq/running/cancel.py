# SPDX-License-Identifier: MIT
"""Send a cancel request, within a time limit.

It is sent over a connection of its own. So a request that was abandoned may still reach the server,
and would then cancel whatever the session is running: do not use the session again.

From libpq 17 on the request is sent without blocking (``PQcancelStart``). Before, ``PQcancel``
blocks until the server closes that connection, on a silent network for ever. So it runs in a daemon
thread; but compiled psycopg holds the GIL during that call, and no other thread could continue.
There no request is sent, and the outcome depends on whether the answer arrives in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import capabilities, pq

if TYPE_CHECKING:
    from psycopg import AsyncConnection, Connection
    from psycopg.pq.abc import PGcancel


def request_cancel(connection: Connection[Any], seconds: float) -> bool:
    """Send a cancel request for what the session is running.

    :param seconds: the time limit.
    :return: True if the server has received it, or none was sent; False if it may still arrive.
    """
    with suppress(psycopg.Error):
        if capabilities.has_cancel_safe():
            connection.cancel_safe(timeout=seconds)
        elif pq.__impl__ == "python":
            thread = _start(connection.pgconn.get_cancel(), lambda: None)
            thread.join(seconds)
            return not thread.is_alive()
        return True
    return False


async def request_cancel_async(connection: AsyncConnection[Any], seconds: float) -> bool:
    """Send a cancel request for what the session is running; as :func:`request_cancel`."""
    with suppress(psycopg.Error, TimeoutError):
        if capabilities.has_cancel_safe():
            await connection.cancel_safe(timeout=seconds)
        elif pq.__impl__ == "python":
            loop, done = asyncio.get_running_loop(), asyncio.Event()
            async with asyncio.timeout(seconds):
                _start(connection.pgconn.get_cancel(), lambda: loop.call_soon_threadsafe(done.set))
                await done.wait()
        return True
    return False


def _start(request: PGcancel, on_done: Callable[[], object]) -> Thread:
    """Send a request in a thread. It does not use the connection, which may be closed meanwhile."""

    def send() -> None:
        with suppress(psycopg.Error):
            request.cancel()
        with suppress(RuntimeError):  # the event loop is closed
            on_done()

    thread = Thread(target=send, daemon=True)
    thread.start()
    return thread
