# SPDX-License-Identifier: MIT
"""Run a batch on a connection or a pool, sync or async, and raise or return its failure.

One attempt is in `once` and `pooled`; `retry` decides whether there is another one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from psycopg import AsyncConnection, Connection

from batchq.engine.plan import plan
from batchq.engine.result import Failed, Ok
from batchq.language.batch import Batch
from batchq.running.interrupts import note_interrupt
from batchq.running.once import arun_once, run_nothing, run_once
from batchq.running.option_values import NO_OPTIONS
from batchq.running.pooled import arun_on_pool, run_on_pool
from batchq.running.request import Options, RunRequest, read_options, request_outcome
from batchq.running.retry import Attempts, Retry
from batchq.running.target import check_target

if TYPE_CHECKING:
    from typing import Unpack

    from psycopg_pool import AsyncConnectionPool, ConnectionPool

    from batchq.engine.result import Result

    SyncTarget = Connection[Any] | ConnectionPool[Any]
    AsyncTarget = AsyncConnection[Any] | AsyncConnectionPool[Any]

T = TypeVar("T")


def run(target: SyncTarget, batch: Batch[T], /, **options: Unpack[Options]) -> T:
    """Run a batch as one transaction, in one network round trip.

    An empty batch sends nothing.

    The keywords are optional; what is left out or None is as the connection and the session have
    it set.

    :param target: a psycopg connection without an open transaction, or a psycopg_pool pool.
    :param batch: a statement, or what :func:`~batchq.gather` and the like return.
    :param isolation: the isolation level of the transaction: ``"read committed"``, ``"repeatable
        read"``, ``"serializable"``, or a ``psycopg.IsolationLevel``.
    :param read_only: True for READ ONLY, False for READ WRITE.
    :param timeout: the longest time for each statement, in seconds or as a timedelta:
        ``statement_timeout`` of the transaction. The server enforces it, but not for COMMIT, in
        which deferred triggers run.
    :param deadline: the longest time for the whole run, in seconds or as a timedelta: waiting for a
        connection, all attempts and the sleeps between them, COMMIT. The client enforces it, and
        limits the server to the rest. The run ends at most one second later.
    :param nested: True to run inside the transaction that is open on the connection, by SAVEPOINT
        and RELEASE. It excludes a pool and all other options.
    :param retry: a :class:`~batchq.Retry`: how often to run the batch again, if certainly nothing
        was applied and another attempt may succeed; default: never.
    :return: the batch's result.
    :raises BatchError: if the batch fails. If the failure is mapped, the mapped exception is raised
        instead, with the BatchError as its ``__cause__``.
    :raises InvalidBatch: if the batch or an option is not valid; nothing is sent.
    :raises TypeError: if the target is not a sync connection or pool, or for an unknown option.

    >>> from batchq import gather, insert, run, unique
    >>> class NameTaken(Exception):
    ...     "The project has a VPC of this name."
    >>> batch = gather(
    ...     insert("project", {"id": 7}),
    ...     insert("vpc", {"project_id": 7, "name": "web"}).on(unique("vpc_name_key"), NameTaken),
    ... )
    >>> def create(conn):
    ...     run(conn, batch, isolation="serializable")  # raises NameTaken
    """
    result = attempt(target, batch, **options)
    if isinstance(result, Ok):
        return result.value
    try:
        raise result.error
    finally:
        del result  # the traceback refers to it, and it to the traceback: a reference cycle


async def arun(target: AsyncTarget, batch: Batch[T], /, **options: Unpack[Options]) -> T:
    """Run a batch on an async connection or pool; as :func:`run`.

    >>> from batchq import arun, insert
    >>> async def create(conn):
    ...     await arun(conn, insert("project", {"id": 7}))
    """
    result = await aattempt(target, batch, **options)
    if isinstance(result, Ok):
        return result.value
    try:
        raise result.error
    finally:
        del result  # as in run()


def attempt(target: SyncTarget, batch: Batch[T], /, **options: Unpack[Options]) -> Ok[T] | Failed:
    """Run a batch, and return its failure instead of raising it; as :func:`run` otherwise.

    :return: :class:`~batchq.result.Ok` with the result, or :class:`~batchq.result.Failed` with the
        exception that :func:`run` would raise.
    :raises InvalidBatch: if the batch or an option is not valid, which is a bug and not a result.
    :raises TypeError: as :func:`run`.

    >>> from batchq import insert
    >>> from batchq.result import Failed, attempt
    >>> def create(conn):
    ...     result = attempt(conn, insert("project", {"id": 7}))
    ...     return result.outcome if isinstance(result, Failed) else result.value
    """
    request: RunRequest | None = None
    try:
        if not isinstance(target, Connection):
            check_target("run()", target, sync=True)
        values = read_options(target, options, "run()") if options else NO_OPTIONS
        request = RunRequest(plan(batch), values, values.retry, values.deadline)
        if not request.plan.statements:
            return run_nothing(request)
        if values.retry is not None:
            return _retried(target, request, values.retry)
        if isinstance(target, Connection):
            return run_once(target, request)[0]
        return run_on_pool(target, request, run_once)[0]
    except BaseException as error:
        # An interrupt while the options are checked, or after the engine has finished.
        if not isinstance(error, Exception):
            note_interrupt(error, request_outcome(request))
        raise


async def aattempt(
    target: AsyncTarget, batch: Batch[T], /, **options: Unpack[Options]
) -> Ok[T] | Failed:
    """Run a batch on an async connection or pool; as :func:`attempt`."""
    request: RunRequest | None = None
    try:
        if not isinstance(target, AsyncConnection):
            check_target("arun()", target, sync=False)
        values = read_options(target, options, "arun()") if options else NO_OPTIONS
        request = RunRequest(plan(batch), values, values.retry, values.deadline)
        if not request.plan.statements:
            return run_nothing(request)
        if values.retry is not None:
            return await _aretried(target, request, values.retry)
        if isinstance(target, AsyncConnection):
            return (await arun_once(target, request))[0]
        return (await arun_on_pool(target, request, arun_once))[0]
    except BaseException as error:
        if not isinstance(error, Exception):
            note_interrupt(error, request_outcome(request))
        raise


def _retried(target: SyncTarget, request: RunRequest, retry: Retry) -> Result:
    """Return the result of as many attempts as it takes, and the options allow."""
    from tenacity import Retrying  # noqa: PLC0415  an extra; Retry has imported it

    pooled = not isinstance(target, Connection)
    run_attempt: Callable[[], list[Result]]
    if isinstance(target, Connection):
        run_attempt = partial(run_once, target, request)
    else:
        run_attempt = partial(run_on_pool, target, request, run_once)
    attempts = Attempts(retry, pooled=pooled, deadline=request.deadline)
    try:
        Retrying(**attempts.policy())(run_attempt)
    except BaseException as error:  # noqa: BLE001  an interrupt has an outcome, too
        attempts.interrupted(error)
    return attempts.results[0]


async def _aretried(target: AsyncTarget, request: RunRequest, retry: Retry) -> Result:
    """Return the result of as many attempts as it takes; as :func:`_retried`."""
    from tenacity import AsyncRetrying  # noqa: PLC0415  as in _retried()

    pooled = not isinstance(target, AsyncConnection)
    run_attempt: Callable[[], Awaitable[list[Result]]]
    if isinstance(target, AsyncConnection):
        run_attempt = partial(arun_once, target, request)
    else:
        run_attempt = partial(arun_on_pool, target, request, arun_once)
    attempts = Attempts(retry, pooled=pooled, deadline=request.deadline)
    try:
        await AsyncRetrying(**attempts.policy())(run_attempt)
    except BaseException as error:  # noqa: BLE001  as in _retried()
        attempts.interrupted(error)
    return attempts.results[0]
