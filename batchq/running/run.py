# SPDX-License-Identifier: MIT
"""The façades: one batch on a connection or pool, sync or async, raising or returning.

The protocol is a generator of the engine's; what differs here is only who waits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import psycopg
from psycopg import AsyncConnection, Connection

from batchq.engine.transaction import Transaction
from batchq.language.batch import Batch
from batchq.language.errors import BatchError, DecodeFailed, InvalidBatch
from batchq.language.exceptions import annotate
from batchq.running.answer import Failed, Ok
from batchq.running.order import Options, Order, order

if TYPE_CHECKING:
    from typing import Unpack

    from psycopg_pool import AsyncConnectionPool, ConnectionPool

    SyncTarget = Connection[Any] | ConnectionPool[Any]
    AsyncTarget = AsyncConnection[Any] | AsyncConnectionPool[Any]

T = TypeVar("T")


def run(target: SyncTarget, batch: Batch[T], /, **options: Unpack[Options]) -> T:
    """Run a batch as one transaction, in one network round trip.

    :param target: a psycopg connection that is in no transaction, or a pool.
    :param options: see :class:`~batchq.running.order.Options`.
    :return: the batch's result.
    :raises BatchError: or the caller's own exception, raised from it, when the failure is mapped.

    An empty batch has nothing to send and sends nothing.
    """
    return _unwrap(attempt(target, batch, **options))


async def arun(target: AsyncTarget, batch: Batch[T], /, **options: Unpack[Options]) -> T:
    """Run a batch on an async connection or pool; as :func:`run`."""
    return _unwrap(await aattempt(target, batch, **options))


def attempt(target: SyncTarget, batch: Batch[T], /, **options: Unpack[Options]) -> Ok[T] | Failed:
    """Run a batch and return what :func:`run` would return or raise.

    :raises InvalidBatch: all the same: a batch that cannot be sent is a bug, not an answer.
    """
    todo = order(target, batch, options, sync=True)
    if not todo.plan.statements:
        return Ok(todo.plan.combine(()))
    once: Callable[[], Any]
    if isinstance(target, Connection):
        once = partial(_once, target, todo)
    else:
        once = partial(_pooled, target, todo)
    if todo.retry is None:
        return cast("Ok[T] | Failed", once())
    policy = todo.retry.policy()
    from tenacity import Retrying  # noqa: PLC0415  an extra; policy() has just checked

    return cast("Ok[T] | Failed", Retrying(**policy)(once))


async def aattempt(
    target: AsyncTarget, batch: Batch[T], /, **options: Unpack[Options]
) -> Ok[T] | Failed:
    """Run a batch on an async connection or pool; as :func:`attempt`."""
    todo = order(target, batch, options, sync=False)
    if not todo.plan.statements:
        return Ok(todo.plan.combine(()))
    once: Callable[[], Any]
    if isinstance(target, AsyncConnection):
        once = partial(_aonce, target, todo)
    else:
        once = partial(_apooled, target, todo)
    if todo.retry is None:
        return cast("Ok[T] | Failed", await once())
    policy = todo.retry.policy()
    from tenacity import AsyncRetrying  # noqa: PLC0415  as in attempt()

    return cast("Ok[T] | Failed", await AsyncRetrying(**policy)(once))


# -- one attempt -----------------------------------------------------------------------------------


def _once(connection: Connection[Any], todo: Order) -> Any:
    work = Transaction(connection, todo.plan, todo.frame_for(connection))
    try:
        work.prepare()
        with connection.lock:
            try:
                for flight in work.flights():
                    connection.wait(flight)
            finally:
                # Before the lock is released: the next thread's batch is not at rest.
                work.close_unless_at_rest()
    except BaseException as error:  # noqa: BLE001  an interrupt too must find the connection closed
        return _broken_off(work, error)
    return _settled(work)


async def _aonce(connection: AsyncConnection[Any], todo: Order) -> Any:
    work = Transaction(connection, todo.plan, todo.frame_for(connection))
    try:
        work.prepare()
        async with connection.lock:
            try:
                for flight in work.flights():
                    await connection.wait(flight)
            finally:
                # Before the lock is released: the next thread's batch is not at rest.
                work.close_unless_at_rest()
    except BaseException as error:  # noqa: BLE001  as in _once()
        return _broken_off(work, error)
    return _settled(work)


# A pooled connection is taken for each attempt: none is held while sleeping between two.


def _pooled(pool: ConnectionPool[Any], todo: Order) -> Any:
    with pool.connection() as connection:
        return _once(connection, todo)


async def _apooled(pool: AsyncConnectionPool[Any], todo: Order) -> Any:
    async with pool.connection() as connection:
        return await _aonce(connection, todo)


def _broken_off(work: Transaction, error: BaseException) -> Failed:
    """Sort what ended an attempt: a failure to report, or somebody else's exception."""
    if isinstance(error, InvalidBatch):
        raise error
    if isinstance(error, BatchError):
        return Failed(error, error)
    if isinstance(error, psycopg.Error):  # the waiting itself failed: the socket was closed
        lost = work.lost(error)
        return Failed(lost, lost)
    # KeyboardInterrupt, CancelledError. psycopg has sent a cancel request and, where it could, read
    # the answer to the end.
    annotate(error, f"batchq: interrupted; the outcome of the batch is {work.outcome.value}")
    raise error


def _settled(work: Transaction) -> Any:
    failure = work.failure()
    if failure is not None:
        return Failed(failure.error, failure.report)
    try:
        return Ok(work.result())
    except DecodeFailed as error:
        return Failed(error, error)


def _unwrap(answer: Ok[T] | Failed) -> T:
    if isinstance(answer, Ok):
        return answer.value
    try:
        raise answer.error
    finally:
        del answer  # the traceback would keep the answer, and the answer the traceback
