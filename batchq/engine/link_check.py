# SPDX-License-Identifier: MIT
"""Check just before the first byte is sent that a batch can be sent on the connection now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchq.engine.outcome.attribute import Verdict
from batchq.engine.outcome.lost_link import link_failed
from batchq.engine.outcome.overdue import not_sent
from batchq.engine.wire.liveness import closed_link
from batchq.engine.wire.readiness import check_state
from batchq.language.outcome import Outcome

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

    from batchq.engine.ready import Ready
    from batchq.engine.wire.deadline import Deadline
    from batchq.engine.wire.frame import Frame


def check_link(
    pg: PGconn, ready: Ready, frame: Frame, deadline: Deadline | None, *, many: bool = False
) -> None:
    """Reject a connection that cannot take a batch now, just before the first byte is sent.

    :param many: as of :func:`~batchq.engine.wire.readiness.check_state`.
    :raises InvalidBatch: if the connection cannot begin a transaction in its state.
    :raises ConnectionFailed: if the connection is closed already.
    :raises DeadlineExceeded: if the deadline has passed already.
    """
    check_state(pg, frame, many=many)
    link = closed_link(pg, ready.dialect, ready.codec)
    if link is not None:
        pg.finish()
        verdict = Verdict(Outcome.NOT_SENT, violation=link.final_error, session_ended=True)
        raise link_failed(verdict, link.error)
    if deadline is not None and deadline.passed:
        raise not_sent("it was made ready")
