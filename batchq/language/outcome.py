# SPDX-License-Identifier: MIT
"""Define the outcome of a transaction, separately from the reason of its failure.

The class of an exception answers why a batch failed; the outcome answers what is in the database
now. Neither can be derived from the other.
"""

from __future__ import annotations

from enum import Enum


class Outcome(Enum):
    """The outcome of the transaction, as observed; never inferred.

    >>> Outcome("rolled_back").nothing_applied
    True
    """

    __hash__ = object.__hash__  # a member is one object; that of Enum is Python code
    NOT_SENT = "not_sent"
    """No byte was sent."""

    ROLLED_BACK = "rolled_back"
    """Nothing was applied: an error of the server proves it. Or the batch was read-only and its end
    is unknown: then no permanent table has changed, but a NOTIFY may have been delivered, and
    temporary tables may have changed (README, "Fine print")."""

    COMMITTED = "committed"
    """COMMIT succeeded, even if the connection was lost right after."""

    RELEASED = "released"
    """The batch ran with ``nested=True`` and its savepoint was released. The COMMIT or ROLLBACK of
    the outer transaction, which the caller sends, decides whether its rows persist."""

    UNKNOWN = "unknown"
    """The connection was lost before the response to COMMIT, or the response was an error that
    proves nothing. The transaction was applied as a whole or not at all; read the database to find
    out."""

    @property
    def nothing_applied(self) -> bool:
        """True if it is certain that the batch has changed nothing in the database."""
        return self is Outcome.NOT_SENT or self is Outcome.ROLLED_BACK
