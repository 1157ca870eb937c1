# SPDX-License-Identifier: MIT
"""Know the states of a connection that may be used after a batch.

A batch has to leave the connection as it found it: the next user of a pooled connection would
otherwise commit what is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.pq import ConnStatus, PipelineStatus, TransactionStatus

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

    from batchq.engine.dialects import Dialect
    from batchq.engine.wire.frame import Frame

_FAILED_OR_OPEN = frozenset({TransactionStatus.INTRANS, TransactionStatus.INERROR})


def is_usable(pg: PGconn, frame: Frame, dialect: Dialect, *, complete: bool) -> bool:
    """Return whether a connection is open, has answered everything, and has nothing left on it.

    Nothing may be left that another user could commit. A transaction of the caller's own may also
    have failed for good: CockroachDB accepts no ROLLBACK TO SAVEPOINT after a conflict. The error
    reports that, and the caller rolls it back on this connection. An interrupted caller gets no
    such error, and a COMMIT would then roll back silently.

    :param frame: that of the batch.
    :param complete: whether all flights were sent and answered, so the caller gets the error.
    """
    if pg.status != ConnStatus.OK or pg.pipeline_status != PipelineStatus.OFF:
        return False
    if frame.nested and complete and not dialect.rolls_back_conflicts:
        return pg.transaction_status in _FAILED_OR_OPEN
    return pg.transaction_status == frame.at_rest
