# SPDX-License-Identifier: MIT
"""Taking a connection from a pool, for no longer than a deadline or an interrupt allows.

A pool waits for as long as it is told. But one with a ``check`` looks at each connection before it
gives it, and that look, a query mostly, waits for its answer without a bound: behind a silent
network, for ever. A null pool connects there and then, with its lock held. So a pool that may stall
is asked on the side, and what it gives too late is given back.
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

_WAITED = "it waited for a connection of the pool"


@contextmanager
def checkout(pool: ConnectionPool[Any], deadline: Deadline) -> Generator[Connection[Any]]:
    """Take a connection for as long as the block lasts, as ``pool.connection()`` does.

    :raises DeadlineExceeded: when there is none in time.
    """
    try:
        if may_stall(pool):
            connection = _ask(pool, deadline)
        else:
            connection = pool.getconn(timeout=_timeout_for(pool, deadline))
    except Exception as error:
        if _is_late(error, deadline):
            raise not_sent(_WAITED) from error
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
    """Take a connection for as long as the block lasts; as :func:`checkout`.

    Without a deadline too, a task that is cancelled does not wait for a pool that checks.
    """
    try:
        if may_stall(pool):
            connection = await _ask_async(pool, deadline)
        else:
            connection = await pool.getconn(timeout=_timeout_for(pool, deadline))
    except Exception as error:
        if _is_late(error, deadline):
            raise not_sent(_WAITED) from error
        raise
    try:
        async with connection:
            yield connection
    finally:
        await pool.putconn(connection)


_PLAIN = frozenset({"psycopg_pool.pool", "psycopg_pool.pool_async"})


def may_stall(pool: object) -> bool:
    """Whether the pool may wait for the network before it gives a connection.

    psycopg_pool's own does not, unless it has a ``check``, which it does not say in public.
    """
    return type(pool).__module__ not in _PLAIN or checks(pool)


def checks(pool: object) -> bool:
    """Whether the pool looks at a connection before it gives it."""
    return getattr(pool, "_check", None) is not None


def _timeout_for(pool: object, deadline: Deadline | None) -> float | None:
    """How long the pool may wait: for as long as ever, or until the deadline."""
    if deadline is None:
        return None
    own: float = getattr(pool, "timeout", inf)
    return min(own, deadline.left, TIMEOUT_MAX)


def _is_late(error: Exception, deadline: Deadline | None) -> bool:
    """Whether a pool has given none because the deadline came; it may wait for a shorter time."""
    if deadline is None:
        return False
    timed_out = isinstance(error, TimeoutError) or type(error).__name__ == "PoolTimeout"
    return timed_out and deadline.due


def _ask(pool: ConnectionPool[Any], deadline: Deadline) -> Connection[Any]:
    asked: Future[Connection[Any]] = Future()

    def ask() -> None:
        try:
            connection = pool.getconn(timeout=_timeout_for(pool, deadline))
        except BaseException as error:  # noqa: BLE001  for the thread that asks
            if asked.set_running_or_notify_cancel():
                asked.set_exception(error)
            return
        if asked.set_running_or_notify_cancel():
            asked.set_result(connection)
        else:
            pool.putconn(connection)

    Thread(target=ask, daemon=True).start()
    try:
        return asked.result(min(deadline.left, TIMEOUT_MAX))
    except BaseException:
        # What was handed over just then, while nobody waited any more, goes back.
        if not asked.cancel() and asked.exception() is None:
            pool.putconn(asked.result())
        raise


async def _ask_async(
    pool: AsyncConnectionPool[Any], deadline: Deadline | None
) -> AsyncConnection[Any]:
    asked: asyncio.Future[AsyncConnection[Any]] = asyncio.ensure_future(
        pool.getconn(timeout=_timeout_for(pool, deadline))
    )
    try:
        await asyncio.wait({asked}, timeout=None if deadline is None else deadline.left)
    except BaseException:
        _give_back(pool, asked)
        raise
    if not asked.done():
        _give_back(pool, asked)
        raise TimeoutError
    return asked.result()


_returning: set[asyncio.Task[None]] = set()
"""The event loop keeps no task alive by itself."""


def _give_back(pool: AsyncConnectionPool[Any], asked: asyncio.Future[AsyncConnection[Any]]) -> None:
    """Give back what comes too late, or was given just when nobody waited any more."""

    async def give_back() -> None:
        await asyncio.wait({asked})
        if not asked.cancelled() and asked.exception() is None:
            await pool.putconn(asked.result())

    asked.cancel()
    task = asyncio.ensure_future(give_back())
    _returning.add(task)
    task.add_done_callback(_returning.discard)
