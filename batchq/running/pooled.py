# SPDX-License-Identifier: MIT
"""One attempt to run a batch on a pool: a connection is taken, used and given back.

psycopg_pool is an extra, so a pool is known by what it can do.
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
_BY_A_HOOK = (
    "the pool gave it {}: a check= that runs a query leaves a transaction open, unless the "
    "connections are in autocommit; ConnectionPool.check_connection does not"
)

_log = logging.getLogger("batchq")


def run_on_pool(pool: ConnectionPool[Any], request: RunRequest) -> Result:
    """Run a batch once, on a connection of the pool.

    :raises InvalidBatch: when it cannot be sent as it is.
    """
    spare, late = _spare(pool, request), request.deadline
    while True:
        visit = _Visit()
        try:
            with pool.connection() if late is None else checkout(pool, late) as connection:
                visit.connection = connection
                try:
                    visit.answer = run_once(connection, request)
                except BaseException as error:
                    visit.passes(error)
                    raise
                close_read_only(connection, visit.answer)
        except BaseException as error:  # noqa: BLE001  an interrupt too has an outcome
            visit.end(error)
        if not (spare and visit.found_closed):
            return visit.told()
        spare -= 1


async def arun_on_pool(pool: AsyncConnectionPool[Any], request: RunRequest) -> Result:
    """Run a batch once, on a connection of the pool; as :func:`run_on_pool`."""
    spare, late = _spare(pool, request), request.deadline
    plain = late is None and not checks(pool)
    while True:
        visit = _Visit()
        try:
            async with pool.connection() if plain else checkout_async(pool, late) as connection:
                visit.connection = connection
                try:
                    visit.answer = await arun_once(connection, request)
                except BaseException as error:
                    visit.passes(error)
                    raise
                close_read_only(connection, visit.answer)
        except BaseException as error:  # noqa: BLE001  as in run_on_pool()
            visit.end(error)
        if not (spare and visit.found_closed):
            return visit.told()
        spare -= 1


def _spare(pool: object, request: RunRequest) -> int:
    """How many connections that are found closed are no attempt: as many as the pool may hold.

    After a restart of the server they all are. Only for who asked for more than one attempt.
    """
    most = 0 if request.retry is None else getattr(pool, "max_size", 0)
    return most if isinstance(most, int) else 0


def close_read_only(connection: AnyConnection, answer: Result) -> None:
    """Keep a connection to a server that takes no writes from going back to its pool.

    A pool that gets back what is closed opens another, perhaps to the server that does.
    """
    if isinstance(answer, Failed) and isinstance(answer.report, ReadOnlyServer):
        connection.pgconn.finish()


@define(eq=False)
class _Visit:
    """What became of one visit to a pool."""

    connection: Connection[Any] | AsyncConnection[Any] | None = None
    """The one that was given, if one was."""
    answer: Result | None = None
    """The attempt's, if there was one and it has one."""
    raised: BaseException | None = None
    """What the attempt raised instead: nobody's failure."""

    @property
    def found_closed(self) -> bool:
        """Whether the pool gave a connection that was closed before a byte was sent over it."""
        return (
            isinstance(self.answer, Failed)
            and self.answer.outcome is Outcome.NOT_SENT
            and self.connection is not None
            and self.connection.closed
        )

    def passes(self, error: BaseException) -> None:
        """Take note of what the attempt has raised, and of why where the pool's hooks are why."""
        self.raised = error
        if isinstance(error, InvalidBatch) and self.connection is not None:
            status = self.connection.info.transaction_status
            if status in _LEFT_OPEN:
                annotate(error, _BY_A_HOOK.format(status.name))

    def end(self, error: BaseException) -> None:
        """Sort what ended the visit, other than in the ordinary way."""
        if error is self.raised:
            return
        if not isinstance(error, Exception):  # an interrupt, while taking it or giving it back
            for note in getattr(self.raised, "__notes__", ()):
                annotate(error, note)
            note_interrupt(error, result_outcome(self.answer))
            self.raised = error
        elif self.answer is None and self.raised is None:
            failed = no_connection(error)
            self.answer = Failed(failed, failed)
        else:  # What became of the batch is no other thing for that.
            _log.warning("a pool did not take back the connection of a batch", exc_info=error)

    def told(self) -> Result:
        """What the attempt has answered.

        :raises BaseException: what it raised instead.
        """
        raised, answer = self.raised, self.answer
        self.raised = self.answer = None  # their tracebacks keep the visit
        try:
            if raised is not None:
                raise raised
            return cast("Result", answer)
        finally:
            del raised, answer  # and this call
