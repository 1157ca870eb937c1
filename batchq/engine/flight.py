# SPDX-License-Identifier: MIT
"""A flight: everything that goes to the server in one go, command by command, and whose it is.

Slot i of the answer belongs to command i, always. So each command carries its owner: a step's
index, or a part of the frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from batchq.engine.compile import Form
    from batchq.engine.encode import Encoded

# Owners that are no step. Steps are owned by their index, from 0.
OPENING = -1
SETTING = -2
CLOSING = -3
SYNC = -4
FORGET = -5
UNDO = -6
LOOK = -7
LINEAGE = -8

OWNERS = {
    OPENING: "the transaction's beginning",
    SETTING: "the transaction's settings",
    CLOSING: "COMMIT",
    SYNC: "a Sync",
    FORGET: "closing a prepared statement",
    UNDO: "the rollback",
    LOOK: "the look at a prepared statement",
    LINEAGE: "the look at what a constraint is part of",
}


@define(eq=False)
class Flight:
    """Commands for libpq's pipeline, and what is known about each."""

    commands: list[Callable[[], None]] = field(factory=list[Callable[[], None]])
    owners: list[int] = field(factory=list[int])
    parses: list[tuple[int, bytes]] = field(factory=list[tuple[int, bytes]])
    """Which commands prepare which statement."""
    inferring: list[tuple[bytes, Form]] = field(factory=list[tuple[bytes, "Form"]])
    """Which statements are prepared here for which the server has to infer types."""
    looks: list[tuple[int, bytes, Encoded]] = field(factory=list[tuple[int, bytes, "Encoded"]])
    """Which commands ask for the types that it inferred, and the step that they are asked for."""
    closes: list[int] = field(factory=list[int])
    """Which commands close a prepared statement."""
    checked: set[int] = field(factory=set[int])
    """Which commands prepare or run a text that checks the types of columns."""
    nameless: set[int] = field(factory=set[int])
    """Which commands run unprepared, and so cannot fail because a name is lost, stale or taken."""
