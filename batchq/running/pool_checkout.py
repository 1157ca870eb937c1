# SPDX-License-Identifier: MIT
"""Check out a connection from a pool, until the deadline or an interrupt.

A pool has a timeout. But a pool with a ``check`` runs it, usually a query, on each connection that
it returns, and waits for the answer without a limit: on a silent network, for ever. A null pool
opens a connection while it holds its lock. So such a pool is called in a thread or task of its own,
and a connection that comes too late is put back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from math import inf
from threading import TIMEOUT_MAX, Thread
from typing import TYPE_CHECKING, Any

from batchq.engine.outcome.overdue import not_sent
from batchq.engine.wire.deadline import Deadline

if TYPE_CHECKING:
    from psycopg import AsyncConnection, Connection
    from psycopg_pool import AsyncConnectionPool, ConnectionPool

_WAITING = "it waited for a connection of the pool"


@contextmanager
def checkout(pool: ConnectionPool[Any], deadline: Deadline) -> Generator[Connection[Any]]:
    """Check out a connection for the block, as ``pool.connection()`` does.

    :raises DeadlineExceeded: if there is none in time.
    """
    try:
        if may_stall(pool):
            connection = _getconn(pool, deadline)
        else:
            connection = pool.getconn(timeout=_timeout_for(pool, deadline))
    except Exception as error:
        if _is_late(error, deadline):
            raise not_sent(_WAITING) from error
        raise
    try:
        with connection:
            yield connection
    finally:
        pool.putconn(connection)


@asynccontextmanager
async def checkout_async(
    pool: AsyncConnectionPool[Any], deadline: Deadline | None
) -> AsyncGenerator[AsyncConnection[Any]]:
    """Check out a connection for the block; as :func:`checkout`.

    A cancelled task does not wait for a pool with a ``check``, even without a deadline.
    """
    try:
        if may_stall(pool):
            connection = await _getconn_async(pool, deadline)
        else:
            connection = await pool.getconn(timeout=_timeout_for(pool, deadline))
    except Exception as error:
        if _is_late(error, deadline):
            raise not_sent(_WAITING) from error
        raise
    try:
        async with connection:
            yield connection
    finally:
        await pool.putconn(connection)


_STANDARD = frozenset({"psycopg_pool.pool", "psycopg_pool.pool_async"})


def may_stall(pool: object) -> bool:
    """Return True if the pool may wait for the network before it returns a connection.

    psycopg_pool's standard pool does so only with a ``check``, which has no public attribute.
    """
    return type(pool).__module__ not in _STANDARD or checks(pool)


def checks(pool: object) -> bool:
    """Return True if the pool has a ``check`` for connections."""
    return getattr(pool, "_check", None) is not None


def _timeout_for(pool: object, deadline: Deadline | None) -> float | None:
    """Return the timeout for ``getconn``: None for the pool's, else until the deadline at most."""
    if deadline is None:
        return None
    own: float = getattr(pool, "timeout", inf)
    return min(own, deadline.left, TIMEOUT_MAX)


def _is_late(error: Exception, deadline: Deadline | None) -> bool:
    """Return True if the pool's error is due to the deadline, not to its own, shorter timeout."""
    if deadline is None:
        return False
    timed_out = isinstance(error, TimeoutError) or type(error).__name__ == "PoolTimeout"
    return timed_out and deadline.due


def _getconn(pool: ConnectionPool[Any], deadline: Deadline) -> Connection[Any]:
    future: Future[Connection[Any]] = Future()

    def get() -> None:
        try:
            connection = pool.getconn(timeout=_timeout_for(pool, deadline))
        except BaseException as error:  # noqa: BLE001  for the thread that waits
            if future.set_running_or_notify_cancel():
                future.set_exception(error)
            return
        if future.set_running_or_notify_cancel():
            future.set_result(connection)
        else:
            pool.putconn(connection)

    Thread(target=get, daemon=True).start()
    try:
        return future.result(min(deadline.left, TIMEOUT_MAX))
    except BaseException:
        # A connection that arrived after the wait ended is put back.
        if not future.cancel() and future.exception() is None:
            pool.putconn(future.result())
        raise


async def _getconn_async(
    pool: AsyncConnectionPool[Any], deadline: Deadline | None
) -> AsyncConnection[Any]:
    future: asyncio.Future[AsyncConnection[Any]] = asyncio.ensure_future(
        pool.getconn(timeout=_timeout_for(pool, deadline))
    )
    try:
        await asyncio.wait({future}, timeout=None if deadline is None else deadline.left)
    except BaseException:
        _put_back(pool, future)
        raise
    if not future.done():
        _put_back(pool, future)
        raise TimeoutError
    return future.result()


_returning: set[asyncio.Task[None]] = set()
"""References to tasks, since the event loop keeps weak references only."""


def _put_back(pool: AsyncConnectionPool[Any], future: asyncio.Future[AsyncConnection[Any]]) -> None:
    """Put back a connection that arrives too late."""

    async def put_back() -> None:
        await asyncio.wait({future})
        if not future.cancelled() and future.exception() is None:
            await pool.putconn(future.result())

    future.cancel()
    task = asyncio.ensure_future(put_back())
    _returning.add(task)
    task.add_done_callback(_returning.discard)
