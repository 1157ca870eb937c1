# SPDX-License-Identifier: MIT
"""Check the state of a connection before a batch, and know the states allowed after it.

A batch begins on an idle connection, or with ``nested=True`` within an open transaction. It has to
leave the connection in the same state: the next user of a pooled connection would otherwise commit
what is left.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from psycopg.pq import ConnStatus, PipelineStatus, TransactionStatus

from batchq.engine.step import invalid_step
from batchq.language.errors import InvalidBatch

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

    from batchq.engine.dialects import Dialect
    from batchq.engine.plan import Plan
    from batchq.engine.program import Program
    from batchq.engine.wire.frame import Frame

_BACKSLASHES = (
    "a plain string in its SQL has a backslash, which has another meaning on this session: "
    "standard_conforming_strings is off. Write E'…', pass it as a parameter, or turn that on"
)
_JOIN = "pass nested=True to join the open transaction"
_JOIN_MANY = "join the open transaction as one batch: run(conn, gather(…), nested=True)"
_IDLE, _INTRANS = TransactionStatus.IDLE, TransactionStatus.INTRANS
_ONLY_IDLE, _ONLY_OPEN = frozenset({_IDLE}), frozenset({_INTRANS})
_FAILED_OR_OPEN = frozenset({_INTRANS, TransactionStatus.INERROR})


def usable_statuses(
    frame: Frame, dialect: Dialect, *, complete: bool
) -> frozenset[TransactionStatus]:
    """Return the statuses in which nothing of the batch is left that another user could commit.

    A transaction of the caller's own may also have failed for good: CockroachDB accepts no ROLLBACK
    TO SAVEPOINT after a conflict. The error reports that, and the caller rolls it back on this
    connection. An interrupted caller gets no such error, and a COMMIT would then roll back
    silently.

    :param complete: whether all flights were sent and answered, so the caller gets the error.
    """
    if not frame.nested:
        return _ONLY_IDLE
    return _FAILED_OR_OPEN if complete and not dialect.rolls_back_conflicts else _ONLY_OPEN


def is_usable(pg: PGconn, statuses: AbstractSet[TransactionStatus]) -> bool:
    """Return whether a connection is open, has answered everything, and is in one of these."""
    return (
        pg.status == ConnStatus.OK
        and pg.pipeline_status == PipelineStatus.OFF
        and pg.transaction_status in statuses
    )


def check_state(pg: PGconn, frame: Frame, *, many: bool = False) -> None:
    """Reject a connection that is in use for something else.

    :param many: whether several batches are sent, each as a transaction of its own.
    :raises InvalidBatch: with what to do first.
    """
    call = "run_many()" if many else "run()"
    if pg.pipeline_status != PipelineStatus.OFF:
        message = f"{call}: the connection is in pipeline mode; leave `with conn.pipeline()` first"
        raise InvalidBatch(message)
    status = pg.transaction_status
    if frame.nested and status != _INTRANS:
        message = (
            f"run(nested=True): the connection is {TransactionStatus(status).name}; "
            "open a transaction first, as in `with conn.transaction()`"
        )
        raise InvalidBatch(message)
    if not frame.nested and status != _IDLE:
        message = (
            f"{call}: the connection is {TransactionStatus(status).name}, not IDLE; commit or roll "
            f"back first, or {_JOIN_MANY if many else _JOIN}"
        )
        raise InvalidBatch(message)


def check_backslashes(plan: Plan, program: Program) -> None:
    """Reject a text that this session reads differently from batchq's scanner.

    :raises InvalidBatch: for the first such statement.
    """
    for index, step in enumerate(program.steps):
        if step.has_backslash:
            raise invalid_step(plan, index, _BACKSLASHES)
