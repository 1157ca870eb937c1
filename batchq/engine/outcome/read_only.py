# SPDX-License-Identifier: MIT
"""Distinguish a read-only server from a transaction that the caller made read only.

Both report SQLSTATE 25006 (PostgreSQL documentation, appendix A).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import OperationalError

from batchq.engine.wire.flight import OPENING

if TYPE_CHECKING:
    from batchq.engine.dialects import Parameters
    from batchq.engine.outcome.attribute import Verdict
    from batchq.engine.wire.frame import Frame
    from batchq.language.violation import Violation

READ_ONLY = "25006"
_NOT_SUPPORTED = "0A000"
_CODES = frozenset({READ_ONLY, _NOT_SUPPORTED})
"""The SQLSTATEs by which a server says that it is read only, the second in BEGIN alone."""
_REPORTED = {
    b"in_hot_standby": "it is a standby",
    b"default_transaction_read_only": "its default_transaction_read_only is on",
}
"""Parameters that PostgreSQL 14 and later reports at connect, and again if they change."""
_NOT_REQUESTED = "the transaction is read only, and the batch did not request that"

CALLERS_OWN = (
    "\nThe transaction is read only because of read_only=True, the connection's read_only, or the "
    "outer transaction; run a batch that writes in a transaction that is not read only"
)
"""Hint for a write in a transaction that the caller made read only: one with that SQLSTATE, if
:func:`why_read_only` returns None."""


def why_read_only(
    verdict: Verdict, violation: Violation, frame: Frame, server: Parameters
) -> str | None:
    """Return why the server is read only; None if it is not, or the caller asked for it."""
    if frame.read_only or violation.sqlstate not in _CODES:
        return None
    reported = _reported(server)
    if violation.sqlstate == READ_ONLY:
        # Of an outer transaction, only the server knows why it is read only.
        return reported if frame.nested else reported or _NOT_REQUESTED
    # A standby answers so to BEGIN READ WRITE, and to BEGIN ISOLATION LEVEL SERIALIZABLE.
    is_begin = verdict.owner == OPENING and not frame.nested
    return reported if is_begin else None


def _reported(server: Parameters) -> str | None:
    try:
        return next(
            (
                reason
                for name, reason in _REPORTED.items()
                if server.parameter_status(name) == b"on"
            ),
            None,
        )
    except OperationalError:  # the connection is closed
        return None
