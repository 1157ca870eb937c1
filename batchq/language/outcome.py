# SPDX-License-Identifier: MIT
"""What became of a transaction: a value of its own, told apart from why it failed.

A caller who sees an exception needs two answers: *whose fault was it* (the class of the exception)
and *what is in the database now* (the outcome). The second one must never be guessed from the
first.
"""

from __future__ import annotations

from enum import Enum


class Outcome(Enum):
    """What became of the transaction. Only ever what was observed.

    >>> Outcome("rolled_back").nothing_applied
    True
    """

    NOT_SENT = "not_sent"
    """No byte left this process."""

    ROLLED_BACK = "rolled_back"
    """Nothing was kept: the server answered with an error that proves it. Or the batch was read
    only and nobody has seen its end; then no permanent table is another one, while a NOTIFY may
    have been delivered, and rows of temporary tables may stay (README, "Fine print")."""

    COMMITTED = "committed"
    """COMMIT was answered, even if the connection was lost right after."""

    RELEASED = "released"
    """Run with ``nested=True``: the savepoint was released. Whether its rows stay is decided by the
    COMMIT or ROLLBACK of the transaction around it, which is the caller's."""

    UNKNOWN = "unknown"
    """The connection was lost before COMMIT was answered, or COMMIT was answered by an error that
    proves nothing: the transaction is either wholly there or wholly absent, and only reading can
    tell."""

    @property
    def nothing_applied(self) -> bool:
        """True when it is certain that the database is as it was before."""
        return self is Outcome.NOT_SENT or self is Outcome.ROLLED_BACK
