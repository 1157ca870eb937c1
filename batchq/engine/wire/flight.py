# SPDX-License-Identifier: MIT
"""A flight: everything that goes to the server in one go, command by command, and whose it is.

Slot i of the answer belongs to command i, always. So each command carries its owner: a step's
index, or a part of the frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchq.engine.wire.encode import Encoded

# Owners that are no step. Steps are owned by their index, from 0.
OPENING = -1
SETTING = -2
CLOSING = -3
SYNC = -4
CLOSE = -5
ROLLBACK = -6
DESCRIBE = -7
CATALOG = -8

OWNERS = {
    OPENING: "the transaction's beginning",
    SETTING: "the transaction's settings",
    CLOSING: "COMMIT",
    SYNC: "a Sync",
    CLOSE: "closing a prepared statement",
    ROLLBACK: "the rollback",
    DESCRIBE: "the look at a prepared statement",
    CATALOG: "a question about a failure",
}


class Flight:
    """Commands for libpq's pipeline, and what is known about each."""

    __slots__ = (
        *("commands", "owners", "parses"),
        *("describes", "closes", "checked", "unnamed"),
    )

    def __init__(self) -> None:
        self.commands: list[Callable[[], None]] = []
        self.owners: list[int] = []
        self.parses: list[tuple[int, bytes]] = []
        """Which commands prepare which statement."""
        self.describes: list[tuple[int, bytes, Encoded]] = []
        """Which commands ask for the types that the server infers, and the step that they are
        asked for. Each stands behind the Parse that it is about."""
        self.closes: list[int] = []
        """Which commands close a prepared statement."""
        self.checked: set[int] = set()
        """Which commands prepare or run a text that checks the types of columns."""
        self.unnamed: set[int] = set()
        """Which commands run unprepared, and so cannot fail because a name is lost, stale or
        taken."""
