# SPDX-License-Identifier: MIT
"""Wait for the connection's lock and for the flights of a batch, until the deadline.

psycopg's ``Connection.wait`` is not used: after an interrupt it sends a cancel request and waits
for the answer without a limit of the caller's. Here a deadline, a Ctrl-C and a cancelled task are
handled alike: a cancel request with a time limit, then the answer if it arrives within the grace.
If not, the connection is closed, and the answers so far decide the outcome.
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

    from batchq.engine.many import ManyTransactions
    from batchq.engine.transaction import Transaction

    AnyTransaction = Transaction | ManyTransactions

_INTERVAL = 0.1
"""Seconds after which psycopg's wait functions check for signals; as ``Connection.wait``."""

_REQUEST, _ANSWER = 0.5, 0.95
"""Fractions of the grace until which the cancel request and the answer may take; the rest is for
closing the connection."""

_ACTIVE = TransactionStatus.ACTIVE


def drive(connection: Connection[Any], transaction: AnyTransaction) -> None:
    """Send a batch, and wait for its answers.

    :raises DeadlineExceeded: if the deadline passes before the batch is sent. If it passes later,
        the outcome decides what is raised.
    """
    deadline = transaction.deadline
    with connection.lock if deadline is None else _Locked(connection.lock, deadline):
        flight: PQGen[None] | None = None
        late: PQGen[None] | None = None
        try:
            for flight in transaction.flights():
                if deadline is None:
                    wait(flight, connection.pgconn.socket, _INTERVAL)
                    continue
                bounded = until(flight, deadline)
                if not wait(bounded, connection.pgconn.socket, deadline.tick):
                    late = flight
                    break
        except Exception as error:
            transaction.give_up(error)  # the socket or the event loop is closed
            raise
        except BaseException:
            if flight is not None:  # else nothing was sent
                _cancel(connection, transaction, flight)
            raise
        else:
            if late is not None:
                _cancel(connection, transaction, late)
        finally:
            # Before the lock is released: after that, another thread may have a batch running.
            if not transaction.left_idle:
                transaction.close_unless_idle()


async def drive_async(connection: AsyncConnection[Any], transaction: AnyTransaction) -> None:
    """Send a batch, and wait for its answers; as :func:`drive`."""
    deadline = transaction.deadline
    async with connection.lock if deadline is None else _AsyncLocked(connection.lock, deadline):
        flight: PQGen[None] | None = None
        late: PQGen[None] | None = None
        try:
            for flight in transaction.flights():
                if deadline is None:
                    await wait_async(flight, connection.pgconn.socket, _INTERVAL)
                    continue
                bounded = until(flight, deadline)
                if not await wait_async(bounded, connection.pgconn.socket, deadline.tick):
                    late = flight
                    break
        except Exception as error:
            transaction.give_up(error)  # as in drive()
            raise
        except BaseException:
            if flight is not None:  # else nothing was sent
                await _cancel_async(connection, transaction, flight)
            raise
        else:
            if late is not None:
                await _cancel_async(connection, transaction, late)
        finally:
            # Before the lock is released: after that, another task may have a batch running.
            if not transaction.left_idle:
                transaction.close_unless_idle()


# -- canceling -------------------------------------------------------------------------------------


def _cancel(connection: Connection[Any], transaction: AnyTransaction, flight: PQGen[None]) -> None:
    """Send a cancel request, read the answers within the grace, and roll back what is still open.

    An outer transaction is then as it was before the batch, and may continue.
    A second interrupt ends this, too, and closes the connection.
    """
    grace, pg = Deadline.after(_ANSWER * GRACE), connection.pgconn
    handled = pg.transaction_status != _ACTIVE
    try:
        with suppress(Exception):  # the answers so far decide the outcome
            if not handled:
                handled = request_cancel(connection, _REQUEST * GRACE)
            if getgeneratorstate(flight) == GEN_SUSPENDED:  # a new flight must not start
                wait(until(flight, grace), pg.socket, grace.tick)
            transaction.give_up()
            # The cancel request has been handled, so it cannot cancel this.
            undo = transaction.undo_left() if handled else None
            if undo is not None:
                wait(until(undo, grace), pg.socket, grace.tick)
    finally:
        transaction.give_up()
        if not handled:  # the request may arrive later, and cancel other work
            pg.finish()


async def _cancel_async(
    connection: AsyncConnection[Any], transaction: AnyTransaction, flight: PQGen[None]
) -> None:
    grace, pg = Deadline.after(_ANSWER * GRACE), connection.pgconn
    handled = pg.transaction_status != _ACTIVE
    try:
        with suppress(Exception):  # as in _cancel()
            if not handled:
                handled = await request_cancel_async(connection, _REQUEST * GRACE)
            if getgeneratorstate(flight) == GEN_SUSPENDED:
                await wait_async(until(flight, grace), pg.socket, grace.tick)
            transaction.give_up()
            undo = transaction.undo_left() if handled else None
            if undo is not None:
                await wait_async(until(undo, grace), pg.socket, grace.tick)
    finally:
        transaction.give_up()
        if not handled:  # the request may arrive later, and cancel other work
            pg.finish()


# -- the connection's lock -------------------------------------------------------------------------

_IN_USE = "it waited for the connection, which was in use"


@frozen
class _Locked:
    """The lock of a connection, acquired before the deadline."""

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
