# SPDX-License-Identifier: MIT
"""Run a batch once, on a connection of a pool.

psycopg_pool is an extra, so a pool is recognized by its methods.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from attrs import define
from psycopg.pq import TransactionStatus

from batchq.engine.result import Failed, failed_alike
from batchq.language.errors import InvalidBatch, ReadOnlyServer
from batchq.language.exceptions import annotate
from batchq.language.outcome import Outcome
from batchq.running.pool_checkout import checkout, checkout_async, checks
from batchq.running.pool_errors import no_connection

if TYPE_CHECKING:
    from psycopg import AsyncConnection, Connection
    from psycopg_pool import AsyncConnectionPool, ConnectionPool

    from batchq.engine.result import Result
    from batchq.engine.wire.connection_state import AnyConnection
    from batchq.engine.wire.deadline import Deadline
    from batchq.running.retry import Retry

_LEFT_OPEN = frozenset({TransactionStatus.INTRANS, TransactionStatus.INERROR})
_LEFT_OPEN_BY_CHECK = (
    "the pool returned the connection {}: a check= that runs a query leaves a transaction open; "
    "use autocommit connections, or ConnectionPool.check_connection"
)

_log = logging.getLogger("batchq")


class PoolRequest(Protocol):
    """What to run: a batch, or several in one flight."""

    retry: Retry | None
    deadline: Deadline | None

    @property
    def count(self) -> int:
        """How many batches are run."""
        ...

    def note_interrupt(self, error: BaseException, results: Sequence[Result] | None, /) -> None:
        """Note the outcomes on an exception that interrupts the run."""


Q = TypeVar("Q", bound=PoolRequest)


def run_on_pool(
    pool: ConnectionPool[Any], request: Q, once: Callable[[Connection[Any], Q], list[Result]]
) -> list[Result]:
    """Run a batch once, or several in one flight, on a connection of the pool.

    :param once: runs them once on the connection.
    :raises InvalidBatch: if they cannot be sent.
    """
    spare, late = _spare(pool, request), request.deadline
    while True:
        pool_run = _PoolRun(request)
        try:
            with pool.connection() if late is None else checkout(pool, late) as connection:
                pool_run.connection = connection
                try:
                    pool_run.results = once(connection, request)
                except BaseException as error:
                    pool_run.record_raised(error)
                    raise
                close_read_only(connection, pool_run.results)
        except BaseException as error:  # noqa: BLE001  an interrupt has an outcome, too
            pool_run.record_error(error)
        if not (spare and pool_run.found_closed):
            return pool_run.final_results()
        spare -= 1


async def arun_on_pool(
    pool: AsyncConnectionPool[Any],
    request: Q,
    once: Callable[[AsyncConnection[Any], Q], Awaitable[list[Result]]],
) -> list[Result]:
    """Run a batch once, or several, on a connection of the pool; as :func:`run_on_pool`."""
    spare, late = _spare(pool, request), request.deadline
    plain = late is None and not checks(pool)
    while True:
        pool_run = _PoolRun(request)
        try:
            async with pool.connection() if plain else checkout_async(pool, late) as connection:
                pool_run.connection = connection
                try:
                    pool_run.results = await once(connection, request)
                except BaseException as error:
                    pool_run.record_raised(error)
                    raise
                close_read_only(connection, pool_run.results)
        except BaseException as error:  # noqa: BLE001  as in run_on_pool()
            pool_run.record_error(error)
        if not (spare and pool_run.found_closed):
            return pool_run.final_results()
        spare -= 1


def _spare(pool: object, request: PoolRequest) -> int:
    """Return how many closed connections do not count as an attempt: as many as the pool may hold.

    After a restart of the server all of them are closed. Without a Retry, each counts.
    """
    size = 0 if request.retry is None else getattr(pool, "max_size", 0)
    return size if isinstance(size, int) else 0


def close_read_only(connection: AnyConnection, results: Sequence[Result]) -> None:
    """Close a connection to a read-only server before it is put back into its pool.

    A pool replaces a closed connection, perhaps by one to a server that accepts writes.
    """
    if any(
        isinstance(each, Failed) and isinstance(each.report, ReadOnlyServer) for each in results
    ):
        connection.pgconn.finish()


@define(eq=False)
class _PoolRun:
    """One run on a pool: the connection, and the results or the exception of the attempt."""

    request: PoolRequest
    connection: Connection[Any] | AsyncConnection[Any] | None = None
    """The connection, if the pool returned one."""
    results: list[Result] | None = None
    """Results of the attempt, one for each batch, if it has any."""
    raised: BaseException | None = None
    """Exception to raise instead of results: an interrupt, or InvalidBatch."""

    @property
    def found_closed(self) -> bool:
        """Return True if the connection was closed before anything was sent over it."""
        return (
            self.results is not None
            and all(map(_was_not_sent, self.results))
            and self.connection is not None
            and self.connection.closed
        )

    def record_raised(self, error: BaseException) -> None:
        """Keep the attempt's exception; add a note if the pool's ``check`` is the cause."""
        self.raised = error
        if isinstance(error, InvalidBatch) and self.connection is not None:
            status = self.connection.info.transaction_status
            if status in _LEFT_OPEN:
                annotate(error, _LEFT_OPEN_BY_CHECK.format(status.name))

    def record_error(self, error: BaseException) -> None:
        """Keep the outcome of a run that an exception ended."""
        if error is self.raised:
            return
        if not isinstance(error, Exception):  # an interrupt during checkout or putconn
            for note in getattr(self.raised, "__notes__", ()):
                annotate(error, note)
            self.request.note_interrupt(error, self.results)
            self.raised = error
        elif self.results is None and self.raised is None:
            self.results = failed_alike(no_connection(error), self.request.count)
        else:  # The result of the batch is not changed by that.
            _log.warning("the pool failed to take back a connection after a batch", exc_info=error)

    def final_results(self) -> list[Result]:
        """Return the results of the attempt.

        :raises BaseException: if it raised one instead.
        """
        raised, results = self.raised, self.results
        self.raised = self.results = None  # their tracebacks refer to this object
        try:
            if raised is not None:
                raise raised
            return cast("list[Result]", results)
        finally:
            del raised, results  # they refer to this frame


def _was_not_sent(result: Result) -> bool:
    return isinstance(result, Failed) and result.outcome is Outcome.NOT_SENT
