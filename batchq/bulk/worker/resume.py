# SPDX-License-Identifier: MIT
"""Going on with the jobs: one bounded activation, safe to call from anywhere.

Any number of processes may do it at any time, from cron, a thread, a loop or a task.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from inspect import isawaitable, iscoroutine
from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection, Connection, IsolationLevel

from batchq.bulk.progress.report import Report
from batchq.bulk.worker.context import RunContext
from batchq.bulk.worker.options import Options, Task, worker_options
from batchq.bulk.worker.requests import BatchDone, Request, RunBatch, Sleep
from batchq.bulk.worker.worker import Worker
from batchq.running.pooled import close_read_only
from batchq.running.run import aattempt, attempt

if TYPE_CHECKING:
    from typing import Unpack

    from psycopg_pool import AsyncConnectionPool, ConnectionPool

READ_COMMITTED = IsolationLevel.READ_COMMITTED
"""Of every step, whatever the session's default is: what looks behind a lock has to see what was
committed until it was held, and not a snapshot that is older."""


def resume(
    database: Connection[Any] | ConnectionPool[Any],
    works: Iterable[Task],
    **options: Unpack[Options],
) -> Report:
    """Go on with the jobs of these trees and rewrites, within a budget.

    :param database: a psycopg connection that is in no transaction, or a pool.
    :param options: see :class:`~batchq.bulk.worker.options.Options`; ``owner`` has to be said.
    :return: what was done, and why it ended. A failure of the server's is in it, not raised: what
        was done until then is done.
    :raises TypeError: for an option that there is not, and without ``owner``.
    :raises ValueError: for options that cannot be meant, before anything is claimed.
    """
    context = RunContext(options=worker_options("resume()", options))
    activation = Worker(works=tuple(works), context=context)
    with closing(activation.steps()) as steps, suppress(StopIteration):
        request = next(steps)
        while True:
            try:
                told = _do(database, request)
            except Exception as error:  # noqa: BLE001  the activation's to judge
                request = steps.throw(error)
            else:
                request = steps.send(told)
    return activation.context.report


async def aresume(
    database: AsyncConnection[Any] | AsyncConnectionPool[Any],
    works: Iterable[Task],
    **options: Unpack[Options],
) -> Report:
    """Go on with jobs on an async connection or pool; as :func:`resume`."""
    context = RunContext(options=worker_options("aresume()", options))
    activation = Worker(works=tuple(works), context=context)
    with closing(activation.steps()) as steps, suppress(StopIteration):
        request = next(steps)
        while True:
            try:
                told = await _ado(database, request)
            except Exception as error:  # noqa: BLE001  as in resume()
                request = steps.throw(error)
            else:
                request = steps.send(told)
    return activation.context.report


def _do(database: Connection[Any] | ConnectionPool[Any], request: Request) -> object:
    match request:
        case RunBatch():
            if isinstance(database, Connection):
                return _asked(database, request)
            with database.connection() as connection:
                told = _asked(connection, request)
                close_read_only(connection, told.result)
                return told
        case Sleep():
            time.sleep(request.seconds)
            return None
        case throttle:
            reason = throttle()
            if iscoroutine(reason):
                reason.close()
                raise TypeError("resume() awaits nothing: a coroutine function is for aresume()")
            return reason


def _asked(connection: Connection[Any], request: RunBatch) -> BatchDone:
    began = time.monotonic()
    answer = attempt(connection, request.batch, timeout=request.timeout, isolation=READ_COMMITTED)
    return BatchDone(answer, time.monotonic() - began)


async def _ado(
    database: AsyncConnection[Any] | AsyncConnectionPool[Any], request: Request
) -> object:
    match request:
        case RunBatch():
            if isinstance(database, AsyncConnection):
                return await _aasked(database, request)
            async with database.connection() as connection:
                told = await _aasked(connection, request)
                close_read_only(connection, told.result)
                return told
        case Sleep():
            await asyncio.sleep(request.seconds)
            return None
        case throttle:
            reason = throttle()
            return await reason if isawaitable(reason) else reason


async def _aasked(connection: AsyncConnection[Any], request: RunBatch) -> BatchDone:
    began = time.monotonic()
    answer = await aattempt(
        connection, request.batch, timeout=request.timeout, isolation=READ_COMMITTED
    )
    return BatchDone(answer, time.monotonic() - began)
