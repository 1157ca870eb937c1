# SPDX-License-Identifier: MIT
"""A cancel request that takes no longer than it is given.

It is made over a connection of its own, so one that was given up may still reach the server, and
would then stop whatever the session is doing: the connection is not to be used again.

From libpq 17 on the request is made without blocking (``PQcancelStart``). Before, ``PQcancel``
blocks until the server has hung up, which behind a silent network is never. So it gets a thread
that nobody waits for; but where psycopg is compiled, that call keeps the interpreter's lock, and no
thread could go on: there it is not made at all, and the answer, or its absence, decides.
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
    """Ask the server to cancel what it is doing.

    :return: whether the request is over: the server has had it, or none was made.
    """
    with suppress(psycopg.Error):
        if capabilities.has_cancel_safe():
            connection.cancel_safe(timeout=seconds)
        elif pq.__impl__ == "python":
            thread = _begin(connection.pgconn.get_cancel(), lambda: None)
            thread.join(seconds)
            return not thread.is_alive()
        return True
    return False


async def request_cancel_async(connection: AsyncConnection[Any], seconds: float) -> bool:
    """Ask the server to cancel what it is doing; as :func:`request_cancel`."""
    with suppress(psycopg.Error, TimeoutError):
        if capabilities.has_cancel_safe():
            await connection.cancel_safe(timeout=seconds)
        elif pq.__impl__ == "python":
            loop, over = asyncio.get_running_loop(), asyncio.Event()
            async with asyncio.timeout(seconds):
                _begin(connection.pgconn.get_cancel(), lambda: loop.call_soon_threadsafe(over.set))
                await over.wait()
        return True
    return False


def _begin(request: PGcancel, tell: Callable[[], object]) -> Thread:
    """Make a request in a thread, apart from the connection, which may be closed meanwhile."""

    def work() -> None:
        with suppress(psycopg.Error):
            request.cancel()
        with suppress(RuntimeError):  # the loop is closed by now
            tell()

    thread = Thread(target=work, daemon=True)
    thread.start()
    return thread
