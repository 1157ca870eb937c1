# SPDX-License-Identifier: MIT
"""One attempt to run a batch on one connection.

The protocol is a generator of the engine's; what differs between sync and async is only who waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection, Connection

from batchq.engine.transaction import Transaction
from batchq.language.errors import BatchError, DecodeFailed, InvalidBatch
from batchq.language.outcome import Outcome
from batchq.running.interrupts import note_interrupt, note_outer_rolled_back
from batchq.running.result import Failed, Ok
from batchq.running.waiting import drive, drive_async

if TYPE_CHECKING:
    from batchq.running.request import RunRequest
    from batchq.running.result import Result


def run_once(connection: Connection[Any], request: RunRequest) -> Result:
    """Run a batch once.

    :raises InvalidBatch: when it cannot be sent as it is.
    """
    work = Transaction(connection, request.plan, request.frame_for(connection), request.deadline)
    request.work = work
    try:
        work.prepare()
        drive(connection, work)
        return _to_result(work)
    except BaseException as error:  # noqa: BLE001  an interrupt too must find the connection closed
        return _interrupted(work, error)


async def arun_once(connection: AsyncConnection[Any], request: RunRequest) -> Result:
    """Run a batch once; as :func:`run_once`."""
    work = Transaction(connection, request.plan, request.frame_for(connection), request.deadline)
    request.work = work
    try:
        work.prepare()
        await drive_async(connection, work)
        return _to_result(work)
    except BaseException as error:  # noqa: BLE001  as in run_once()
        return _interrupted(work, error)


def run_nothing(request: RunRequest) -> Result:
    """Result for a batch that has nothing to send."""
    try:
        return Ok(request.plan.combine(()))
    except Exception as error:  # noqa: BLE001  a function of the caller's
        message = f"a function of the batch raised {type(error).__name__}; it had nothing to send"
        failed = DecodeFailed(message, outcome=Outcome.NOT_SENT)
        failed.__cause__ = error
        return Failed(failed, failed)
    except BaseException as error:
        note_interrupt(error, Outcome.NOT_SENT)
        raise


def _interrupted(work: Transaction, error: BaseException) -> Result:
    """Sort what ended an attempt: a failure to report, or somebody else's exception."""
    if isinstance(error, InvalidBatch):
        raise error
    if isinstance(error, BatchError):
        return Failed(error, error)
    if isinstance(error, Exception):
        # The waiting itself failed: the socket was closed, or the event loop. What was answered
        # before that counts.
        return _to_result(work, error)
    # KeyboardInterrupt, CancelledError. The run was wound up; that is what is known by now.
    note_interrupt(error, work.outcome)
    if work.frame.nested and work.connection.closed:
        note_outer_rolled_back(error)
    raise error


def _to_result(work: Transaction, error: Exception | None = None) -> Result:
    """Make the answer of what is known.

    :param error: what the waiting failed with, when it did.
    """
    failure = work.failure(error)
    if failure is not None:
        return Failed(failure.error, failure.report)
    try:
        return Ok(work.result())
    except DecodeFailed as failed:
        return Failed(failed, failed)
