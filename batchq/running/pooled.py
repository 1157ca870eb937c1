# SPDX-License-Identifier: MIT
"""Run a batch once, on a connection of a pool.

psycopg_pool is an extra, so a pool is recognized by its methods.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from attrs import define
from psycopg.pq import TransactionStatus

from batchq.language.errors import InvalidBatch, ReadOnlyServer
from batchq.language.exceptions import annotate
from batchq.language.outcome import Outcome
from batchq.running.interrupts import note_interrupt, result_outcome
from batchq.running.once import arun_once, run_once
from batchq.running.pool_checkout import checkout, checkout_async, checks
from batchq.running.pool_errors import no_connection
from batchq.running.result import Failed

if TYPE_CHECKING:
    from psycopg import AsyncConnection, Connection
    from psycopg_pool import AsyncConnectionPool, ConnectionPool

    from batchq.engine.wire.connection_state import AnyConnection
    from batchq.running.request import RunRequest
    from batchq.running.result import Result

_LEFT_OPEN = frozenset({TransactionStatus.INTRANS, TransactionStatus.INERROR})
_LEFT_OPEN_BY_CHECK = (
    "the pool returned the connection {}: a check= that runs a query leaves a transaction open; "
    "use autocommit connections, or ConnectionPool.check_connection"
)

_log = logging.getLogger("batchq")


def run_on_pool(pool: ConnectionPool[Any], request: RunRequest) -> Result:
    """Run a batch once, on a connection of the pool.

    :raises InvalidBatch: if it cannot be sent.
    """
    spare, late = _spare(pool, request), request.deadline
    while True:
        pool_run = _PoolRun()
        try:
            with pool.connection() if late is None else checkout(pool, late) as connection:
                pool_run.connection = connection
                try:
                    pool_run.result = run_once(connection, request)
                except BaseException as error:
                    pool_run.record_raised(error)
                    raise
                close_read_only(connection, pool_run.result)
        except BaseException as error:  # noqa: BLE001  an interrupt has an outcome, too
            pool_run.record_error(error)
        if not (spare and pool_run.found_closed):
            return pool_run.final_result()
        spare -= 1


async def arun_on_pool(pool: AsyncConnectionPool[Any], request: RunRequest) -> Result:
    """Run a batch once, on a connection of the pool; as :func:`run_on_pool`."""
    spare, late = _spare(pool, request), request.deadline
    plain = late is None and not checks(pool)
    while True:
        pool_run = _PoolRun()
        try:
            async with pool.connection() if plain else checkout_async(pool, late) as connection:
                pool_run.connection = connection
                try:
                    pool_run.result = await arun_once(connection, request)
                except BaseException as error:
                    pool_run.record_raised(error)
                    raise
                close_read_only(connection, pool_run.result)
        except BaseException as error:  # noqa: BLE001  as in run_on_pool()
            pool_run.record_error(error)
        if not (spare and pool_run.found_closed):
            return pool_run.final_result()
        spare -= 1


def _spare(pool: object, request: RunRequest) -> int:
    """Return how many closed connections do not count as an attempt: as many as the pool may hold.

    After a restart of the server all of them are closed. Without a Retry, each counts.
    """
    size = 0 if request.retry is None else getattr(pool, "max_size", 0)
    return size if isinstance(size, int) else 0


def close_read_only(connection: AnyConnection, result: Result) -> None:
    """Close a connection to a read-only server before it is put back into its pool.

    A pool replaces a closed connection, perhaps by one to a server that accepts writes.
    """
    if isinstance(result, Failed) and isinstance(result.report, ReadOnlyServer):
        connection.pgconn.finish()


@define(eq=False)
class _PoolRun:
    """One run on a pool: the connection, and the result or exception of the attempt."""

    connection: Connection[Any] | AsyncConnection[Any] | None = None
    """The connection, if the pool returned one."""
    result: Result | None = None
    """Result of the attempt, if it has one."""
    raised: BaseException | None = None
    """Exception to raise instead of a result: an interrupt, or InvalidBatch."""

    @property
    def found_closed(self) -> bool:
        """Return True if the connection was closed before anything was sent over it."""
        return (
            isinstance(self.result, Failed)
            and self.result.outcome is Outcome.NOT_SENT
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
            note_interrupt(error, result_outcome(self.result))
            self.raised = error
        elif self.result is None and self.raised is None:
            report = no_connection(error)
            self.result = Failed(report, report)
        else:  # The result of the batch is not changed by that.
            _log.warning("the pool failed to take back a connection after a batch", exc_info=error)

    def final_result(self) -> Result:
        """Return the result of the attempt.

        :raises BaseException: if it raised one instead.
        """
        raised, result = self.raised, self.result
        self.raised = self.result = None  # their tracebacks refer to this object
        try:
            if raised is not None:
                raise raised
            return cast("Result", result)
        finally:
            del raised, result  # they refer to this frame
