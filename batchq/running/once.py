# SPDX-License-Identifier: MIT
"""Run a batch once, on one connection.

The protocol is a generator of the engine. Sync and async differ only in how they wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection, Connection

from batchq.engine.conclusion import failure_of, result_of
from batchq.language.errors import BatchError, DecodeFailed, InvalidBatch
from batchq.language.outcome import Outcome
from batchq.running.interrupts import note_interrupt, note_outer_rolled_back
from batchq.running.result import Failed, Ok
from batchq.running.waiting import drive, drive_async

if TYPE_CHECKING:
    from batchq.engine.transaction import Transaction
    from batchq.running.request import RunRequest
    from batchq.running.result import Result


def run_once(connection: Connection[Any], request: RunRequest) -> Result:
    """Run a batch once.

    :raises InvalidBatch: if it cannot be sent.
    """
    transaction = request.transaction_on(connection)
    try:
        transaction.prepare()
        drive(connection, transaction)
        return to_result(transaction)
    except BaseException as error:  # noqa: BLE001  an interrupt has to close the connection, too
        return _interrupted(transaction, error)


async def arun_once(connection: AsyncConnection[Any], request: RunRequest) -> Result:
    """Run a batch once; as :func:`run_once`."""
    transaction = request.transaction_on(connection)
    try:
        transaction.prepare()
        await drive_async(connection, transaction)
        return to_result(transaction)
    except BaseException as error:  # noqa: BLE001  as in run_once()
        return _interrupted(transaction, error)


def run_nothing(request: RunRequest) -> Result:
    """Return the result of a batch that has nothing to send."""
    try:
        return Ok(request.plan.combine(()))
    except Exception as error:  # noqa: BLE001  a function of the caller
        message = f"a function of the batch raised {type(error).__name__}; nothing was sent"
        report = DecodeFailed(message, outcome=Outcome.NOT_SENT)
        report.__cause__ = error
        return Failed(report, report)
    except BaseException as error:
        note_interrupt(error, Outcome.NOT_SENT)
        raise


def _interrupted(transaction: Transaction, error: BaseException) -> Result:
    """Return the result of an attempt that an exception ended; raise an interrupt again."""
    if isinstance(error, InvalidBatch):
        raise error
    if isinstance(error, BatchError):
        return Failed(error, error)
    if isinstance(error, Exception):
        # Waiting failed: the socket or the event loop was closed. The answers before that count.
        return to_result(transaction, error=error)
    # KeyboardInterrupt or CancelledError. The run was canceled, so its outcome is final.
    note_interrupt(error, transaction.outcome)
    if transaction.frame.nested and transaction.connection.closed:
        note_outer_rolled_back(error)
    raise error


def to_result(
    transaction: Transaction,
    result: Callable[[Transaction], Any] = result_of,
    error: Exception | None = None,
) -> Result:
    """Return the result that the answers prove.

    :param result: returns that of a batch that succeeded.
    :param error: the exception that waiting failed with, if it did.
    """
    failure = failure_of(transaction, error)
    if failure is not None:
        return Failed(failure.error, failure.report)
    try:
        return Ok(result(transaction))
    except DecodeFailed as report:
        return Failed(report, report)
