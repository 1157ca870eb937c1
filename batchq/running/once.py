# SPDX-License-Identifier: MIT
"""Run a batch once, on one connection.

The protocol is a generator of the engine. Sync and async differ only in how they wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection, Connection, IsolationLevel

from batchq.engine.conclusion import conclude
from batchq.engine.outcome.suggest import OLD_SNAPSHOT
from batchq.engine.ready import make_ready
from batchq.engine.result import Failed, Ok
from batchq.engine.step import invalid_step
from batchq.engine.transaction import Transaction
from batchq.engine.wire.frame import NESTED, NESTED_READ_ONLY, PLAIN, transaction_frame
from batchq.language.errors import BatchError, DecodeFailed, InvalidBatch
from batchq.language.outcome import Outcome
from batchq.running.interrupts import note_interrupt, note_outer_rolled_back
from batchq.running.request import request_outcome
from batchq.running.waiting import drive, drive_async

if TYPE_CHECKING:
    from batchq.engine.plan import Plan
    from batchq.engine.result import Result
    from batchq.engine.wire.connection_state import AnyConnection
    from batchq.engine.wire.transformers import KeptTransformer
    from batchq.running.request import RunRequest


def run_once(connection: Connection[Any], request: RunRequest) -> list[Result]:
    """Run a batch once; return its result in a list, as that of several batches.

    :raises InvalidBatch: if it cannot be sent.
    """
    request.transaction = None  # that of an earlier attempt
    try:
        transaction = transaction_on(connection, request)
        drive(connection, transaction)
        return conclude([transaction])
    except BaseException as error:  # noqa: BLE001  an interrupt has to close the connection, too
        return _interrupted(request, error)


async def arun_once(connection: AsyncConnection[Any], request: RunRequest) -> list[Result]:
    """Run a batch once; as :func:`run_once`."""
    request.transaction = None  # as in run_once()
    try:
        transaction = transaction_on(connection, request)
        await drive_async(connection, transaction)
        return conclude([transaction])
    except BaseException as error:  # noqa: BLE001  as in run_once()
        return _interrupted(request, error)


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


def transaction_on(
    connection: AnyConnection, request: RunRequest, kept: KeptTransformer | None = None
) -> Transaction:
    """Return one attempt to run a batch on a connection, ready to be sent.

    An option that is left out is as the connection's attributes have it.

    :param kept: see :func:`~batchq.engine.ready.make_ready`.
    :raises InvalidBatch: if the batch cannot be sent as it is, or not at this isolation level.
    :raises ConnectionFailed: if the connection is closed already.
    """
    plan, values = request.plan, request.values
    isolation, read_only, timeout = values.isolation, values.read_only, values.timeout
    if isolation is None:
        isolation = connection.isolation_level
    if read_only is None:
        read_only = connection.read_only
    deferrable = connection.deferrable
    if values.nested:
        frame = NESTED_READ_ONLY if read_only else NESTED
    elif isolation is None and read_only is None and deferrable is None and timeout is None:
        frame = PLAIN
    else:
        if isolation is IsolationLevel.REPEATABLE_READ:
            _reject_old_snapshots(plan)
        frame = transaction_frame(
            isolation=isolation, read_only=read_only, deferrable=deferrable, timeout=timeout
        )
    ready = make_ready(connection, plan, kept)
    transaction = Transaction(connection, plan, frame, ready, request.deadline)
    request.transaction = transaction
    return transaction


def _reject_old_snapshots(plan: Plan) -> None:
    """Reject a batch that the server would reject at this isolation level.

    If the level is the session's default, only the server knows it.
    """
    for index, statement in enumerate(plan.statements):
        if statement._shape.fresh:
            reason = f"not at the isolation level REPEATABLE READ\n{OLD_SNAPSHOT}"
            raise invalid_step(plan, index, reason)


def _interrupted(request: RunRequest, error: BaseException) -> list[Result]:
    """Return the result of an attempt that an exception ended; raise an interrupt again."""
    transaction = request.transaction
    if isinstance(error, BatchError) and not isinstance(error, InvalidBatch):
        return [Failed(error, error)]
    if isinstance(error, Exception):
        if transaction is None or isinstance(error, InvalidBatch):
            raise error
        # Waiting failed: the socket or the event loop was closed. The answers before that count.
        return conclude([transaction], error)
    # KeyboardInterrupt or CancelledError. The run was canceled, so its outcome is final.
    note_interrupt(error, request_outcome(request))
    if transaction is not None and transaction.frame.nested and transaction.connection.closed:
        note_outer_rolled_back(error)
    raise error
