# SPDX-License-Identifier: MIT
"""The frame: what batchq itself sends around the steps. Never blamed on a user's statement."""

from __future__ import annotations

from attrs import evolve, frozen
from psycopg import IsolationLevel

from batchq.language.outcome import Outcome

SHORTEST_TIMEOUT, LONGEST_TIMEOUT = 0.001, (2**31 - 1) / 1000
"""Seconds: the range of ``statement_timeout``, a number of milliseconds; 0 would switch it off."""


@frozen
class Frame:
    """What opens the transaction, what closes it, and what undoes it when it is left open."""

    opening: str
    settings: tuple[str, ...]
    closing: str
    undo: tuple[str, ...]
    tag: bytes
    """What the closing command answers when it has done its work."""
    outcome_on_success: Outcome
    """What that answer means."""
    nested: bool = False
    unseen: Outcome = Outcome.UNKNOWN
    """What became of it when it was sent and nobody has seen its end."""
    read_only: bool = False
    """Whether the caller wants it to read only."""
    timeout: float | None = None
    """How many seconds a statement may take, when the caller has said so."""


NESTED = Frame(
    opening="SAVEPOINT batchq",
    settings=(),
    closing="RELEASE SAVEPOINT batchq",
    undo=("ROLLBACK TO SAVEPOINT batchq", "RELEASE SAVEPOINT batchq"),
    tag=b"RELEASE",
    outcome_on_success=Outcome.RELEASED,
    nested=True,
    unseen=Outcome.ROLLED_BACK,
)
"""Inside a transaction that is the caller's own. It ends with the link: its COMMIT was never
sent."""
NESTED_READ_ONLY = evolve(NESTED, read_only=True)
"""The same on a connection whose own transactions read only."""


def transaction(
    *,
    isolation: IsolationLevel | None = None,
    read_only: bool | None = None,
    deferrable: bool | None = None,
    timeout: float | None = None,
) -> Frame:
    """Frame a transaction of its own. What is None is left to the session's default.

    :param read_only: READ ONLY also decides what is known when nobody has seen the end: whether
        COMMIT took effect or not, no permanent table is another one.
    :param timeout: the longest that any one statement may take, in seconds: ``statement_timeout``,
        local to this transaction, so gone after it. From ``SHORTEST_TIMEOUT`` to
        ``LONGEST_TIMEOUT``.
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


PLAIN = transaction()
"""Everything left to the session's defaults."""
