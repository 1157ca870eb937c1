# SPDX-License-Identifier: MIT
"""One attempt to run a batch on a pool: a connection is taken, used and given back.

psycopg_pool is an extra, so a pool is known by what it can do, and its errors by their names.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

from attrs import define

from batchq.language.errors import ConnectionFailed, DeadlineExceeded
from batchq.language.exceptions import annotate
from batchq.language.outcome import Outcome
from batchq.running.answer import Failed
from batchq.running.interrupts import interrupted, outcome_of
from batchq.running.once import aonce, once
from batchq.running.taking import taken, taken_async

if TYPE_CHECKING:
    from psycopg import AsyncConnection, Connection
    from psycopg_pool import AsyncConnectionPool, ConnectionPool

    from batchq.running.answer import Answer
    from batchq.running.order import Order

_log = logging.getLogger("batchq")


def pooled(pool: ConnectionPool[Any], todo: Order) -> Answer:
    """Run a batch once, on a connection of the pool.

    :raises InvalidBatch: when it cannot be sent as it is.
    """
    visit, late = _Visit(), todo.deadline
    try:
        with pool.connection() if late is None else taken(pool, late) as connection:
            visit.connection = connection
            try:
                visit.answer = once(connection, todo)
            except BaseException as error:
                visit.raised = error
                raise
    except BaseException as error:  # noqa: BLE001  an interrupt too has an outcome
        visit.end(error)
    return visit.told()


async def apooled(pool: AsyncConnectionPool[Any], todo: Order) -> Answer:
    """Run a batch once, on a connection of the pool; as :func:`pooled`."""
    visit, late = _Visit(), todo.deadline
    try:
        async with pool.connection() if late is None else taken_async(pool, late) as connection:
            visit.connection = connection
            try:
                visit.answer = await aonce(connection, todo)
            except BaseException as error:
                visit.raised = error
                raise
    except BaseException as error:  # noqa: BLE001  as in pooled()
        visit.end(error)
    return visit.told()


@define(eq=False)
class _Visit:
    """What became of one visit to a pool."""

    connection: Connection[Any] | AsyncConnection[Any] | None = None
    """The one that was given, if one was."""
    answer: Answer | None = None
    """The attempt's, if there was one and it has one."""
    raised: BaseException | None = None
    """What the attempt raised instead: nobody's failure."""

    def end(self, error: BaseException) -> None:
        """Sort what ended the visit, other than in the ordinary way."""
        if error is self.raised:
            return
        if not isinstance(error, Exception):  # an interrupt, while taking it or giving it back
            for note in getattr(self.raised, "__notes__", ()):
                annotate(error, note)
            interrupted(error, outcome_of(self.answer))
            self.raised = error
        elif self.answer is None and self.raised is None:
            self.answer = _not_given(error)
        else:  # What became of the batch is no other thing for that.
            _log.warning("a pool did not take back the connection of a batch", exc_info=error)

    def told(self) -> Answer:
        """What the attempt has answered.

        :raises BaseException: what it raised instead.
        """
        try:
            if self.raised is not None:
                raise self.raised
            return cast("Answer", self.answer)
        finally:
            self.raised = None  # its traceback keeps the visit


_POOLS_OWN = frozenset({"PoolClosed", "PoolTimeout", "TooManyRequests"})


def is_pools_own(error: BaseException | None) -> bool:
    """Whether an error is one of psycopg_pool's own, and not a connection's that came through it.

    It is the pool's answer: it is closed, has waited for as long as it may, or has enough to do.
    """
    return any(cls.__name__ in _POOLS_OWN for cls in type(error).__mro__)


def _not_given(error: Exception) -> Failed:
    if isinstance(error, DeadlineExceeded):
        return Failed(error, error)
    # The texts of psycopg_pool's own errors are about the pool. Another's may quote anything.
    why = f"{type(error).__name__}: {error}" if is_pools_own(error) else type(error).__name__
    message = f"the pool gave no connection ({why}); nothing was sent"
    failed = ConnectionFailed(message, outcome=Outcome.NOT_SENT)
    failed.__cause__ = error
    return Failed(failed, failed)
