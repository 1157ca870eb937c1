# SPDX-License-Identifier: MIT
"""Check just before the first byte is sent that a batch can be sent on the connection now.

A batch begins on an idle connection, or with ``nested=True`` within an open transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.pq import PipelineStatus, TransactionStatus

from batchq.engine.outcome.attribute import Verdict
from batchq.engine.outcome.lost_link import link_failed
from batchq.engine.outcome.overdue import not_sent
from batchq.engine.wire.liveness import closed_link, watched
from batchq.language.errors import InvalidBatch
from batchq.language.outcome import Outcome

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

    from batchq.engine.ready import Ready
    from batchq.engine.wire.deadline import Deadline
    from batchq.engine.wire.frame import Frame
    from batchq.engine.wire.liveness import Watched

_OFF = PipelineStatus.OFF
_JOIN = "pass nested=True to join the open transaction"
_JOIN_MANY = "join the open transaction as one batch: run(conn, gather(…), nested=True)"


def check_link(
    pg: PGconn, ready: Ready, frame: Frame, deadline: Deadline | None, *, many: bool = False
) -> None:
    """Reject a connection that cannot take a batch now, just before the first byte is sent.

    :param many: whether several batches are sent, each as a transaction of its own.
    :raises InvalidBatch: if the connection cannot begin a transaction in its state.
    :raises ConnectionFailed: if the connection is closed already.
    :raises DeadlineExceeded: if the deadline has passed already.
    """
    if pg.pipeline_status != _OFF or pg.transaction_status != frame.at_rest:
        raise _in_use(pg, frame, "run_many()" if many else "run()", _JOIN_MANY if many else _JOIN)
    state, fd = ready.state, pg.socket
    socket = state.socket
    if socket is None or socket.fd != fd:
        state.socket = socket = watched(fd)
    if socket.has_arrived(0):
        _read(pg, socket, ready)
    if deadline is not None and deadline.passed:
        raise not_sent("it was made ready")


def _read(pg: PGconn, socket: Watched, ready: Ready) -> None:
    """Read what has arrived before the batch; close the connection if the session has ended."""
    link = closed_link(pg, socket.has_arrived, ready.dialect, ready.kept.codec)
    if link is not None:
        pg.finish()
        verdict = Verdict(Outcome.NOT_SENT, violation=link.final_error, session_ended=True)
        raise link_failed(verdict, link.error)


def _in_use(pg: PGconn, frame: Frame, call: str, join: str) -> InvalidBatch:
    """Return the error for a connection that is in use for something else: what to do first."""
    if pg.pipeline_status != _OFF:
        return InvalidBatch(
            f"{call}: the connection is in pipeline mode; leave `with conn.pipeline()` first"
        )
    status = TransactionStatus(pg.transaction_status).name
    if frame.nested:
        return InvalidBatch(
            f"run(nested=True): the connection is {status}; "
            "open a transaction first, as in `with conn.transaction()`"
        )
    return InvalidBatch(
        f"{call}: the connection is {status}, not IDLE; commit or roll back first, or {join}"
    )
