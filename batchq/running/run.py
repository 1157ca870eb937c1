# SPDX-License-Identifier: MIT
"""The façades: one batch on a connection or pool, sync or async, raising or returning.

The protocol is a generator of the engine's; what differs here is only who waits.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, cast

import psycopg
from attrs import frozen
from psycopg import AsyncConnection, Connection, IsolationLevel

from batchq.engine.frame import NESTED, PLAIN, Frame, transaction
from batchq.engine.transaction import AnyConnection, Transaction
from batchq.language.batch import Batch
from batchq.language.errors import BatchError, DecodeFailed, InvalidBatch
from batchq.language.plan import Plan, plan
from batchq.running.answer import Failed, Ok
from batchq.running.retry import Retry

if TYPE_CHECKING:
    from typing import Unpack

    from psycopg_pool import AsyncConnectionPool, ConnectionPool

    SyncTarget = Connection[Any] | ConnectionPool[Any]
    AsyncTarget = AsyncConnection[Any] | AsyncConnectionPool[Any]

T = TypeVar("T")


class Options(TypedDict, total=False):
    """How to run a batch; what is left out is left to the connection and the session."""

    isolation: IsolationLevel | None
    """The transaction's isolation level."""
    read_only: bool | None
    """READ ONLY or READ WRITE."""
    timeout: float | timedelta | None
    """The longest that any one statement may take, in seconds; gone after the batch."""
    nested: bool
    """Be part of the transaction that is open on the connection: SAVEPOINT … RELEASE."""
    retry: Retry | None
    """Run again after a serialization conflict."""


def run(target: SyncTarget, batch: Batch[T], /, **options: Unpack[Options]) -> T:
    """Run a batch as one transaction, in one network round trip.

    :param target: a psycopg connection that is in no transaction, or a pool.
    :param options: see :class:`Options`.
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
    order = _order(target, batch, options, sync=True)
    if not order.plan.statements:
        return Ok(order.plan.combine(iter(())))
    once: Callable[[], Any]
    if isinstance(target, Connection):
        once = partial(_once, target, order)
    else:
        once = partial(_pooled, target, order)
    if order.retry is None:
        return cast("Ok[T] | Failed", once())
    policy = order.retry.policy()
    from tenacity import Retrying  # noqa: PLC0415  an extra; policy() has just checked

    return cast("Ok[T] | Failed", Retrying(**policy)(once))


async def aattempt(
    target: AsyncTarget, batch: Batch[T], /, **options: Unpack[Options]
) -> Ok[T] | Failed:
    """Run a batch on an async connection or pool; as :func:`attempt`."""
    order = _order(target, batch, options, sync=False)
    if not order.plan.statements:
        return Ok(order.plan.combine(iter(())))
    once: Callable[[], Any]
    if isinstance(target, AsyncConnection):
        once = partial(_aonce, target, order)
    else:
        once = partial(_apooled, target, order)
    if order.retry is None:
        return cast("Ok[T] | Failed", await once())
    policy = order.retry.policy()
    from tenacity import AsyncRetrying  # noqa: PLC0415  as in attempt()

    return cast("Ok[T] | Failed", await AsyncRetrying(**policy)(once))


# -- one attempt -----------------------------------------------------------------------------------


def _once(connection: Connection[Any], order: _Order) -> Any:
    work = Transaction(connection, order.plan, order.frame_for(connection))
    try:
        work.prepare()
        with connection.lock:
            try:
                connection.wait(work.send())
            finally:
                # Before the lock is released: the next thread's batch is not at rest.
                work.close_unless_at_rest()
    except BaseException as error:  # noqa: BLE001  an interrupt too must find the connection closed
        return _broken_off(work, error)
    return _settled(work)


async def _aonce(connection: AsyncConnection[Any], order: _Order) -> Any:
    work = Transaction(connection, order.plan, order.frame_for(connection))
    try:
        work.prepare()
        async with connection.lock:
            try:
                await connection.wait(work.send())
            finally:
                # Before the lock is released: the next thread's batch is not at rest.
                work.close_unless_at_rest()
    except BaseException as error:  # noqa: BLE001  as in _once()
        return _broken_off(work, error)
    return _settled(work)


# A pooled connection is taken for each attempt: none is held while sleeping between two.


def _pooled(pool: ConnectionPool[Any], order: _Order) -> Any:
    with pool.connection() as connection:
        return _once(connection, order)


async def _apooled(pool: AsyncConnectionPool[Any], order: _Order) -> Any:
    async with pool.connection() as connection:
        return await _aonce(connection, order)


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
    error.add_note(f"batchq: interrupted; the outcome of the batch is {work.outcome.value}")
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


# -- what is to be done ----------------------------------------------------------------------------


@frozen(eq=False)
class _Order:
    """A batch laid flat, and how it is to run."""

    plan: Plan
    options: Options
    retry: Retry | None

    def frame_for(self, connection: AnyConnection) -> Frame:
        """Frame it by the options and, where they are silent, by the connection's own settings."""
        options = self.options
        if options.get("nested"):
            return NESTED
        isolation = options.get("isolation")
        read_only = options.get("read_only")
        if isolation is None:
            isolation = connection.isolation_level
        if read_only is None:
            read_only = connection.read_only
        deferrable, timeout = connection.deferrable, options.get("timeout")
        if isolation is None and read_only is None and deferrable is None and timeout is None:
            return PLAIN
        return transaction(
            isolation=isolation, read_only=read_only, deferrable=deferrable, timeout=timeout
        )


_KNOWN = frozenset(Options.__annotations__)
_NOT_NESTED = ("isolation", "read_only", "timeout", "retry")


def _order(target: object, batch: Batch[Any], options: Options, *, sync: bool) -> _Order:
    """Check the arguments before anything happens."""
    kinds: tuple[type[Any], type[Any]] = (AsyncConnection, Connection)
    wrong, right = kinds if sync else kinds[::-1]
    call = "run()" if sync else "arun()"
    # psycopg_pool is an extra: its two pools are told apart by how a connection is got.
    of_other_kind = isinstance(target, wrong) or (
        iscoroutinefunction(getattr(target, "getconn", None)) is sync and hasattr(target, "getconn")
    )
    if of_other_kind or not (isinstance(target, right) or hasattr(target, "connection")):
        message = f"{call} takes a psycopg {right.__name__} or a pool, not {type(target).__name__}"
        if of_other_kind:
            message += f": use {'await arun()' if sync else 'run()'}"
        raise TypeError(message)
    if options:
        _check_options(target, options, call)
    return _Order(plan(batch), options, options.get("retry"))


def _check_options(target: object, options: Options, call: str) -> None:
    unknown = options.keys() - _KNOWN
    if unknown:
        message = f"{call} has no option {min(unknown)!r}; it has {', '.join(sorted(_KNOWN))}"
        raise TypeError(message)
    if not options.get("nested"):
        return
    if not isinstance(target, Connection | AsyncConnection):
        message = "nested=True is for a connection with an open transaction; a pool's have none"
        raise InvalidBatch(message)
    for name in _NOT_NESTED:
        if options.get(name) is not None:
            message = f"{name}= is the outer transaction's business: it cannot go with nested=True"
            raise InvalidBatch(message)
