# SPDX-License-Identifier: MIT
"""Run several batches in one flight, each as a transaction of its own: ``run_many``, ``arun_many``.

One attempt is in `many_once`; `retry` decides which of them another one runs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from psycopg import AsyncConnection, Connection

from batchq.engine.result import Failed, Ok
from batchq.language.batch import Batch
from batchq.language.outcome import Outcome
from batchq.running.interrupts import note_interrupt
from batchq.running.many_once import ManyRequest, arun_many_once, many_request, run_many_once
from batchq.running.once import run_nothing
from batchq.running.pooled import arun_on_pool, run_on_pool
from batchq.running.request import ManyOptions
from batchq.running.retry import Attempts, Retry

if TYPE_CHECKING:
    from typing import Unpack

    from batchq.engine.result import Result
    from batchq.running.run import AsyncTarget, SyncTarget

T = TypeVar("T")


def run_many(
    target: SyncTarget, batches: Iterable[Batch[T]], /, **options: Unpack[ManyOptions]
) -> list[Ok[T] | Failed]:
    """Run independent batches in one network round trip, each as a transaction of its own.

    They run one after the other, on one connection. One that fails takes none with it. If one of
    them cannot be sent, none is.

    If the connection is lost, each batch that was answered has its result. Those that were not are
    ``unknown``; after an error by which the server itself ended the session they are
    ``rolled_back``, because it did not begin them.

    :param target: a psycopg connection without an open transaction, or a psycopg_pool pool.
    :param batches: what :func:`~batchq.run` takes, any number of them.
    :param options: those of :func:`~batchq.run`, for each batch, without ``nested=``. The
        ``deadline=`` is that of the whole. With ``retry=`` those that failed and may succeed are
        run again, together, after the others.
    :return: for each batch, in order, :class:`Ok` with its result, or :class:`Failed` with the
        exception that :func:`~batchq.run` would raise.
    :raises InvalidBatch: if a batch or an option is not valid; nothing is sent.
    :raises TypeError: as :func:`~batchq.run`, or if ``batches`` is not a list of batches.

    >>> from batchq import delete, insert
    >>> from batchq.result import Failed, run_many
    >>> def sweep(conn):
    ...     results = run_many(conn, [delete("lease", {"id": n}).expect(1) for n in (1, 2, 3)])
    ...     return [result.error for result in results if isinstance(result, Failed)]
    """
    request: ManyRequest | None = None
    try:
        request = whole = many_request(target, batches, options, sync=True)
        run_some: Callable[[ManyRequest], list[Result]]
        if isinstance(target, Connection):
            run_some = partial(run_many_once, target)
        else:
            run_some = partial(run_on_pool, target, once=run_many_once)
        if not request.places:
            return _in_places(request, [])
        if request.retry is None:
            return _in_places(request, run_some(request))
        from tenacity import Retrying  # noqa: PLC0415  an extra; Retry has imported it

        attempts = _attempts(request, request.retry, pooled=not isinstance(target, Connection))
        try:
            Retrying(**attempts.policy())(lambda: run_some(whole.only(attempts.pending)))
        except BaseException as error:  # noqa: BLE001  an interrupt has an outcome, too
            attempts.interrupted(error)
        return _in_places(request, attempts.results)
    except BaseException as error:
        if not isinstance(error, Exception):
            note_interrupt(error, *_outcomes(request))
        raise


async def arun_many(
    target: AsyncTarget, batches: Iterable[Batch[T]], /, **options: Unpack[ManyOptions]
) -> list[Ok[T] | Failed]:
    """Run independent batches on an async connection or pool; as :func:`run_many`."""
    request: ManyRequest | None = None
    try:
        request = whole = many_request(target, batches, options, sync=False)
        run_some: Callable[[ManyRequest], Awaitable[list[Result]]]
        if isinstance(target, AsyncConnection):
            run_some = partial(arun_many_once, target)
        else:
            run_some = partial(arun_on_pool, target, once=arun_many_once)
        if not request.places:
            return _in_places(request, [])
        if request.retry is None:
            return _in_places(request, await run_some(request))
        from tenacity import AsyncRetrying  # noqa: PLC0415  as in run_many()

        attempts = _attempts(request, request.retry, pooled=not isinstance(target, AsyncConnection))

        async def run_pending() -> list[Result]:
            return await run_some(whole.only(attempts.pending))

        try:
            await AsyncRetrying(**attempts.policy())(run_pending)
        except BaseException as error:  # noqa: BLE001  as in run_many()
            attempts.interrupted(error)
        return _in_places(request, attempts.results)
    except BaseException as error:
        if not isinstance(error, Exception):
            note_interrupt(error, *_outcomes(request))
        raise


def _attempts(request: ManyRequest, retry: Retry, *, pooled: bool) -> Attempts:
    return Attempts(retry, pooled=pooled, deadline=request.deadline, count=request.count)


def _in_places(request: ManyRequest, results: Sequence[Result]) -> list[Any]:
    """Return the result of each batch of the caller; those without a statement sent nothing.

    :param results: those of the batches that were run.
    """
    known = dict(zip(request.places, results, strict=True))
    return [
        known[place] if place in known else run_nothing(own)
        for place, own in enumerate(request.requests)
    ]


def _outcomes(request: ManyRequest | None) -> Sequence[Outcome]:
    """Return the outcome of each batch; of batches that were not checked yet, one for all."""
    return (request and request.outcomes({})) or [Outcome.NOT_SENT]
