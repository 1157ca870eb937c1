# SPDX-License-Identifier: MIT
"""Define the frame: the commands that batchq sends around the steps.

They are separate from the steps, so that their errors are never attributed to a user's statement.
"""

from __future__ import annotations

from functools import lru_cache

from attrs import evolve, frozen
from psycopg import IsolationLevel
from psycopg.pq import TransactionStatus

from batchq.language.outcome import Outcome

SHORTEST_TIMEOUT, LONGEST_TIMEOUT = 0.001, (2**31 - 1) / 1000
"""Seconds: the range of ``statement_timeout``, a number of milliseconds; 0 would switch it off."""


@frozen(eq=False)
class Frame:
    """The commands that begin the transaction, end it, and roll it back if it is left open.

    Compared by identity: equal options have the same frame.
    """

    opening: str
    settings: tuple[str, ...]
    closing: str
    undo: tuple[str, ...]
    tag: bytes
    """The command tag of the closing command on success."""
    outcome_on_success: Outcome
    """The outcome that this tag proves."""
    nested: bool = False
    at_rest: TransactionStatus = TransactionStatus.IDLE
    """The status that the connection has to have before and after the transaction."""
    unseen: Outcome = Outcome.UNKNOWN
    """The outcome if the transaction was sent and its end was not received."""
    read_only: bool = False
    """Whether the caller declared it READ ONLY."""
    timeout: float | None = None
    """The most seconds of a statement, if the caller limits them."""


NESTED = Frame(
    opening="SAVEPOINT batchq",
    settings=(),
    closing="RELEASE SAVEPOINT batchq",
    undo=("ROLLBACK TO SAVEPOINT batchq", "RELEASE SAVEPOINT batchq"),
    tag=b"RELEASE",
    outcome_on_success=Outcome.RELEASED,
    nested=True,
    at_rest=TransactionStatus.INTRANS,
    unseen=Outcome.ROLLED_BACK,
)
"""Within a transaction of the caller's. If the connection is lost, it is rolled back, because its
COMMIT was not sent."""
NESTED_READ_ONLY = evolve(NESTED, read_only=True)
"""The same on a connection whose transactions are READ ONLY."""


@lru_cache(maxsize=256)
def transaction_frame(
    *,
    isolation: IsolationLevel | None = None,
    read_only: bool | None = None,
    deferrable: bool | None = None,
    timeout: float | None = None,
) -> Frame:
    """Return the frame of a transaction; None leaves an option to the session's default.

    :param read_only: READ ONLY also decides the outcome if the end was not received: with or
        without COMMIT, no permanent table has changed.
    :param timeout: the most seconds of each statement: ``statement_timeout``, local to this
        transaction. From ``SHORTEST_TIMEOUT`` to ``LONGEST_TIMEOUT``.
    """
    words = ["BEGIN"]
    if isolation is not None:
        words.append(f"ISOLATION LEVEL {isolation.name.replace('_', ' ')}")
    if read_only is not None:
        words.append("READ ONLY" if read_only else "READ WRITE")
    if deferrable is not None:
        words.append("DEFERRABLE" if deferrable else "NOT DEFERRABLE")
    settings: tuple[str, ...] = ()
    if timeout is not None:
        settings = (f"SET LOCAL statement_timeout = {round(timeout * 1000)}",)
    return Frame(
        opening=" ".join(words),
        settings=settings,
        closing="COMMIT",
        undo=("ROLLBACK",),
        tag=b"COMMIT",
        outcome_on_success=Outcome.COMMITTED,
        unseen=Outcome.ROLLED_BACK if read_only else Outcome.UNKNOWN,
        read_only=bool(read_only),
        timeout=timeout,
    )


PLAIN = transaction_frame()
"""A transaction with the session's defaults."""
