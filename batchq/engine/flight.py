# SPDX-License-Identifier: MIT
"""A flight: everything that goes to the server in one go, command by command, and whose it is.

Slot i of the answer belongs to command i, always. So each command carries its owner: a step's
index, or a part of the frame.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

# Owners that are no step. Steps are owned by their index, from 0.
OPENING = -1
SETTING = -2
CLOSING = -3
SYNC = -4
FORGET = -5
UNDO = -6

OWNERS = {
    OPENING: "the transaction's beginning",
    SETTING: "the transaction's settings",
    CLOSING: "COMMIT",
    SYNC: "a Sync",
    FORGET: "closing a prepared statement",
    UNDO: "the rollback",
}


@define(eq=False)
class Flight:
    """Commands for libpq's pipeline, and what is known about each."""

    commands: list[Callable[[], None]] = field(factory=list[Callable[[], None]])
    owners: list[int] = field(factory=list[int])
    parses: list[tuple[int, bytes]] = field(factory=list[tuple[int, bytes]])
    """Which commands prepare which statement."""
    closes: list[int] = field(factory=list[int])
    """Which commands close a prepared statement."""
    nameless: set[int] = field(factory=set[int])
    """Which commands run unprepared, and so cannot fail because a name is lost, stale or taken."""
