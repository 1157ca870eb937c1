# SPDX-License-Identifier: MIT
"""The façades: one batch on a connection or pool, sync or async, raising or returning.

How one attempt goes is in `once` and `pooled`, when there is another one in `retry`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from psycopg import AsyncConnection, Connection

from batchq.language.batch import Batch
from batchq.running.interrupts import note_interrupt
from batchq.running.once import arun_once, run_nothing, run_once
from batchq.running.pooled import arun_on_pool, run_on_pool
from batchq.running.request import Options, RunRequest, request_outcome, run_request
from batchq.running.result import Failed, Ok
from batchq.running.retry import Tries

if TYPE_CHECKING:
    from typing import Unpack

    from psycopg_pool import AsyncConnectionPool, ConnectionPool

    SyncTarget = Connection[Any] | ConnectionPool[Any]
    AsyncTarget = AsyncConnection[Any] | AsyncConnectionPool[Any]

T = TypeVar("T")


def run(target: SyncTarget, batch: Batch[T], /, **options: Unpack[Options]) -> T:
    """Run a batch as one transaction, in one network round trip.

    :param target: a psycopg connection that is in no transaction, or a pool.
    :param options: see :class:`~batchq.running.request.Options`.
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
    request: RunRequest | None = None
    try:
        request = run_request(target, batch, options, sync=True)
        if not request.plan.statements:
            return run_nothing(request)
        tried: Callable[[], Any]
        if isinstance(target, Connection):
            tried = partial(run_once, target, request)
        else:
            tried = partial(run_on_pool, target, request)
        if request.retry is None:
            return cast("Ok[T] | Failed", tried())
        from tenacity import Retrying  # noqa: PLC0415  an extra, there since the Retry was made

        tries = Tries(
            request.retry, pooled=not isinstance(target, Connection), deadline=request.deadline
        )
        try:
            return cast("Ok[T] | Failed", Retrying(**tries.policy())(tried))
        except BaseException as error:  # noqa: BLE001  an interrupt too has an outcome
            return tries.interrupted(error)
    except BaseException as error:
        # While the options are read, or between the engine's end and the return.
        if not isinstance(error, Exception):
            note_interrupt(error, request_outcome(request))
        raise


async def aattempt(
    target: AsyncTarget, batch: Batch[T], /, **options: Unpack[Options]
) -> Ok[T] | Failed:
    """Run a batch on an async connection or pool; as :func:`attempt`."""
    request: RunRequest | None = None
    try:
        request = run_request(target, batch, options, sync=False)
        if not request.plan.statements:
            return run_nothing(request)
        tried: Callable[[], Any]
        if isinstance(target, AsyncConnection):
            tried = partial(arun_once, target, request)
        else:
            tried = partial(arun_on_pool, target, request)
        if request.retry is None:
            return cast("Ok[T] | Failed", await tried())
        from tenacity import AsyncRetrying  # noqa: PLC0415  as in attempt()

        tries = Tries(
            request.retry, pooled=not isinstance(target, AsyncConnection), deadline=request.deadline
        )
        try:
            return cast("Ok[T] | Failed", await AsyncRetrying(**tries.policy())(tried))
        except BaseException as error:  # noqa: BLE001  as in attempt()
            return tries.interrupted(error)
    except BaseException as error:
        if not isinstance(error, Exception):
            note_interrupt(error, request_outcome(request))
        raise


def _unwrap(answer: Ok[T] | Failed) -> T:
    if isinstance(answer, Ok):
        return answer.value
    try:
        raise answer.error
    finally:
        del answer  # the traceback would keep the answer, and the answer the traceback
