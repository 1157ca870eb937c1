# SPDX-License-Identifier: MIT
"""Whether a server takes no writes, as against a transaction that the caller wants to read only.

Both answer 25006 (PostgreSQL documentation, appendix A).
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

_READ_ONLY = "25006"
_NOT_SUPPORTED = "0A000"
_REPORTED = {
    b"in_hot_standby": "it is a standby",
    b"default_transaction_read_only": "its default_transaction_read_only is on",
}
"""What PostgreSQL reports of itself, unasked, from 14 on, and reports again when it changes."""
_NOBODY_ASKED = "the transaction is read only, and the batch did not ask for that"

CALLERS_OWN = (
    "\nThe transaction is read only because read_only=True says so, or the read_only of the "
    "connection, or the transaction around it: what writes needs one that is not"
)
"""What is said of a write in a transaction that the caller wants to read only."""


def why_read_only(
    verdict: Verdict, violation: Violation, frame: Frame, server: Parameters
) -> str | None:
    """Say why the server takes no writes; None where it does not say so, or the caller did."""
    if frame.read_only:
        return None
    reported = _reported(server)
    if violation.sqlstate == _READ_ONLY:
        # Of the transaction around a nested batch only the server can tell why it is read only.
        return reported if frame.nested else reported or _NOBODY_ASKED
    # What a standby says to BEGIN READ WRITE, and to BEGIN ISOLATION LEVEL SERIALIZABLE.
    is_begin = verdict.owner == OPENING and not frame.nested
    return reported if is_begin and violation.sqlstate == _NOT_SUPPORTED else None


def is_callers_own(violation: Violation) -> bool:
    """Whether a violation that is not the server's doing is a write where none is allowed."""
    return violation.sqlstate == _READ_ONLY


def _reported(server: Parameters) -> str | None:
    try:
        return next(
            (why for name, why in _REPORTED.items() if server.parameter_status(name) == b"on"),
            None,
        )
    except OperationalError:  # the connection is closed by now
        return None
