# SPDX-License-Identifier: MIT
"""Waiting for a batch: for the connection's lock, and for its flights, until the deadline.

psycopg's own ``Connection.wait`` is not used: interrupted, it sends a cancel request and waits for
the answer, for as many seconds as it likes. Here a run that its deadline has ended, a Ctrl-C and a
cancelled task are wound up alike: a cancel request that is bounded, the answer if it comes within
the grace, else the connection is closed and what is known by then is the outcome.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from inspect import GEN_SUSPENDED, getgeneratorstate
from threading import TIMEOUT_MAX, Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any

from attrs import frozen
from psycopg.pq import TransactionStatus
from psycopg.waiting import wait, wait_async

from batchq.engine.outcome.overdue import not_sent
from batchq.engine.wire.deadline import GRACE, Deadline
from batchq.engine.wire.exchange import until
from batchq.running.cancel import request_cancel, request_cancel_async

if TYPE_CHECKING:
    from psycopg import AsyncConnection, Connection
    from psycopg.abc import PQGen

    from batchq.engine.transaction import Transaction

_INTERVAL = 0.1
"""Seconds after which psycopg's waits look whether there was a signal; as ``Connection.wait``."""

_REQUEST, _ANSWER = 0.5, 0.95
"""The parts of the grace by whose ends the request and the answer are given up; the rest is for
closing the connection."""

_ACTIVE = TransactionStatus.ACTIVE


def drive(connection: Connection[Any], work: Transaction) -> None:
    """Send a batch, and wait for its answer.

    :raises DeadlineExceeded: when the deadline passes before it is sent. Later it is for the
        outcome to say.
    """
    deadline = work.deadline
    with connection.lock if deadline is None else _Locked(connection.lock, deadline):
        try:
            for flight in work.flights():
                try:
                    if deadline is None:
                        wait(flight, connection.pgconn.socket, _INTERVAL)
                        continue
                    if wait(until(flight, deadline), connection.pgconn.socket, deadline.tick):
                        continue
                except Exception as error:
                    work.give_up(error)  # the socket is closed, or the event loop
                    raise
                except BaseException:
                    _wind_up(connection, work, flight)
                    raise
                _wind_up(connection, work, flight)
                break
        finally:
            # Before the lock is released: the next thread's batch is not at rest.
            work.close_unless_idle()


async def drive_async(connection: AsyncConnection[Any], work: Transaction) -> None:
    """Send a batch, and wait for its answer; as :func:`drive`."""
    deadline = work.deadline
    async with connection.lock if deadline is None else _AsyncLocked(connection.lock, deadline):
        try:
            for flight in work.flights():
                try:
                    if deadline is None:
                        await wait_async(flight, connection.pgconn.socket, _INTERVAL)
                        continue
                    bounded = until(flight, deadline)
                    if await wait_async(bounded, connection.pgconn.socket, deadline.tick):
                        continue
                except Exception as error:
                    work.give_up(error)  # as in drive()
                    raise
                except BaseException:
                    await _wind_up_async(connection, work, flight)
                    raise
                await _wind_up_async(connection, work, flight)
                break
        finally:
            # Before the lock is released: the next task's batch is not at rest.
            work.close_unless_idle()


# -- winding up ------------------------------------------------------------------------------------


def _wind_up(connection: Connection[Any], work: Transaction, flight: PQGen[None]) -> None:
    """Ask the server to stop, read what it answers within the grace, and end what that leaves open.

    A transaction around the batch is as it was then, and its owner may go on with it.
    A second interrupt ends this too, and closes the connection.
    """
    grace, pg = Deadline.after(_ANSWER * GRACE), connection.pgconn
    over = pg.transaction_status != _ACTIVE
    try:
        with suppress(Exception):  # the outcome is what is known all the same
            if not over:
                over = request_cancel(connection, _REQUEST * GRACE)
            if getgeneratorstate(flight) == GEN_SUSPENDED:  # what has not begun must not now
                wait(until(flight, grace), pg.socket, grace.tick)
            # The request is over, so it cannot strike this.
            undo = work.undo_left() if over else None
            if undo is not None:
                wait(until(undo, grace), pg.socket, grace.tick)
    finally:
        work.give_up()
        if not over:  # the request may still arrive, in the midst of what comes next
            pg.finish()


async def _wind_up_async(
    connection: AsyncConnection[Any], work: Transaction, flight: PQGen[None]
) -> None:
    grace, pg = Deadline.after(_ANSWER * GRACE), connection.pgconn
    over = pg.transaction_status != _ACTIVE
    try:
        with suppress(Exception):  # as in _wind_up()
            if not over:
                over = await request_cancel_async(connection, _REQUEST * GRACE)
            if getgeneratorstate(flight) == GEN_SUSPENDED:
                await wait_async(until(flight, grace), pg.socket, grace.tick)
            undo = work.undo_left() if over else None
            if undo is not None:
                await wait_async(until(undo, grace), pg.socket, grace.tick)
    finally:
        work.give_up()
        if not over:  # the request may still arrive, in the midst of what comes next
            pg.finish()


# -- the connection's lock -------------------------------------------------------------------------

_IN_USE = "it waited for the connection, which was in use"


@frozen
class _Locked:
    """The lock of a connection, waited for until the deadline."""

    lock: Lock
    deadline: Deadline

    def __enter__(self) -> None:
        if not self.lock.acquire(timeout=min(self.deadline.left, TIMEOUT_MAX)):
            raise not_sent(_IN_USE)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.lock.release()


@frozen
class _AsyncLocked:
    lock: asyncio.Lock
    deadline: Deadline

    async def __aenter__(self) -> None:
        try:
            async with asyncio.timeout(self.deadline.left):
                await self.lock.acquire()
        except TimeoutError:
            raise not_sent(_IN_USE) from None

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.lock.release()
