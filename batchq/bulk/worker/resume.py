# SPDX-License-Identifier: MIT
"""Run a worker: perform its requests on a connection or pool, sync or async.

Any number of processes may do so at any time, from cron, a thread, an event loop or a task.
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
from batchq.bulk.worker.options import ResumeOptions, Task, worker_options, worker_tasks
from batchq.bulk.worker.requests import BatchDone, Request, RunBatch, Sleep
from batchq.bulk.worker.worker import Worker
from batchq.running.pooled import close_read_only
from batchq.running.run import aattempt, attempt
from batchq.running.target import check_idle, check_target

if TYPE_CHECKING:
    from typing import Unpack

    from psycopg_pool import AsyncConnectionPool, ConnectionPool

READ_COMMITTED = IsolationLevel.READ_COMMITTED
"""The isolation level of every step, whatever the session's default is: a check after a lock must
see what was committed until the lock was taken, and not an older snapshot."""


def resume(
    database: Connection[Any] | ConnectionPool[Any],
    tasks: Iterable[Task],
    **options: Unpack[ResumeOptions],
) -> Report:
    """Process the jobs of some tasks, within a budget.

    :param database: a psycopg connection that is in no transaction, or a pool.
    :param tasks: the :class:`~batchq.bulk.DeleteTree`, :class:`~batchq.bulk.Backfill` and
        :class:`~batchq.bulk.DeleteRows` objects whose jobs to process.
    :param owner: the name of the worker in the job table, for people who read it; required.
    :param budget: a :class:`~batchq.bulk.Budget`: how many chunks, rows and seconds the
        worker may use; default: 25 seconds.
    :param chunk_size: a :class:`~batchq.bulk.ChunkSize`: how the number of rows of a chunk is
        controlled.
    :param lease: how long a job stays this worker's after its last step, as a timedelta; longer
        than ``timeout``; default: 30 seconds.
    :param timeout: seconds after which a chunk is canceled and sent again for fewer rows; default:
        5.
    :param throttles: functions without arguments, called before each chunk; each may return a
        reason to stop, as a str. The jobs are left for later.
    :param stop: a function without arguments, called before each chunk; True stops the worker.
    :param pause_ratio: seconds to sleep for each second that a chunk took; no transaction is open
        meanwhile; default: 0.
    :param observers: functions, called with a :class:`~batchq.bulk.Progress` for each event, and
        with the :class:`~batchq.bulk.Report` at the end.
    :return: what was done, and why the worker stopped. A failure of the server is in the report and
        not raised, because everything until then is committed.
    :raises TypeError: for an unknown option, without ``owner``, or if an argument is of another
        type.
    :raises ValueError: for values that make no sense, before any job is claimed.
    :raises InvalidBatch: if the connection is in a transaction, or in pipeline mode.
    """
    context = RunContext(options=worker_options("resume()", options))
    worker = Worker(tasks=worker_tasks("resume()", tasks), context=context)
    check_target("resume()", database, sync=True)
    check_idle("resume()", database)
    with closing(worker.run()) as requests, suppress(StopIteration):
        request = next(requests)
        while True:
            try:
                response = _perform(database, request)
            except Exception as error:  # noqa: BLE001  the worker decides
                request = requests.throw(error)
            else:
                request = requests.send(response)
    return context.report


async def aresume(
    database: AsyncConnection[Any] | AsyncConnectionPool[Any],
    tasks: Iterable[Task],
    **options: Unpack[ResumeOptions],
) -> Report:
    """Process jobs on an async connection or pool; as :func:`resume`."""
    context = RunContext(options=worker_options("aresume()", options))
    worker = Worker(tasks=worker_tasks("aresume()", tasks), context=context)
    check_target("aresume()", database, sync=False)
    check_idle("aresume()", database)
    with closing(worker.run()) as requests, suppress(StopIteration):
        request = next(requests)
        while True:
            try:
                response = await _aperform(database, request)
            except Exception as error:  # noqa: BLE001  as in resume()
                request = requests.throw(error)
            else:
                request = requests.send(response)
    return context.report


def _perform(database: Connection[Any] | ConnectionPool[Any], request: Request) -> object:
    match request:
        case RunBatch():
            if isinstance(database, Connection):
                return _run_batch(database, request)
            with database.connection() as connection:
                done = _run_batch(connection, request)
                close_read_only(connection, [done.result])
                return done
        case Sleep():
            time.sleep(request.seconds)
            return None
        case throttle:
            reason = throttle()
            if iscoroutine(reason):
                reason.close()
                raise TypeError(
                    "resume(): a throttle returned a coroutine; await aresume(…) instead"
                )
            return reason


def _run_batch(connection: Connection[Any], request: RunBatch) -> BatchDone:
    started = time.monotonic()
    result = attempt(connection, request.batch, timeout=request.timeout, isolation=READ_COMMITTED)
    return BatchDone(result, time.monotonic() - started)


async def _aperform(
    database: AsyncConnection[Any] | AsyncConnectionPool[Any], request: Request
) -> object:
    match request:
        case RunBatch():
            if isinstance(database, AsyncConnection):
                return await _arun_batch(database, request)
            async with database.connection() as connection:
                done = await _arun_batch(connection, request)
                close_read_only(connection, [done.result])
                return done
        case Sleep():
            await asyncio.sleep(request.seconds)
            return None
        case throttle:
            reason = throttle()
            return await reason if isawaitable(reason) else reason


async def _arun_batch(connection: AsyncConnection[Any], request: RunBatch) -> BatchDone:
    started = time.monotonic()
    result = await aattempt(
        connection, request.batch, timeout=request.timeout, isolation=READ_COMMITTED
    )
    return BatchDone(result, time.monotonic() - started)
