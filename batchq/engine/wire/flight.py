# SPDX-License-Identifier: MIT
"""Hold a flight: all commands that are sent to the server together, each with its owner.

The answer in slot i always belongs to command i. So each command has an owner: a step's index, or a
part of the frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from batchq.engine.wire.encode import Encoded

Answer = TypeVar("Answer")

# Owners that are not steps. The owner of a step's command is the step's index, from 0.
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
    DESCRIBE: "the Describe of a prepared statement",
    CATALOG: "a catalog query about a failure",
}


class Flight:
    """Commands for libpq's pipeline, and the purpose of each."""

    __slots__ = (
        *("commands", "owners", "parses"),
        *("describes", "closes", "checked", "unnamed"),
    )

    def __init__(self) -> None:
        self.commands: list[Callable[[], None]] = []
        self.owners: list[int] = []
        self.parses: list[tuple[int, bytes]] = []
        """The commands that prepare a statement, each with the statement's key."""
        self.describes: list[tuple[int, bytes, Encoded]] = []
        """The commands that request the types the server infers, each with a key and its step. Each
        follows the Parse that it describes."""
        self.closes: list[int] = []
        """The commands that close a prepared statement."""
        self.checked: set[int] = set()
        """The commands that prepare or run a text that checks the types of columns."""
        self.unnamed: set[int] = set()
        """The commands that run unprepared, and so cannot fail because a name is lost, stale or
        taken."""

    def step_answers(self, answers: Sequence[Answer], count: int) -> list[Answer]:
        """Return the answer of each step.

        :param answers: one for each command.
        :param count: the number of steps.
        """
        by_step: list[Any] = [None] * count
        for owner, answer in zip(self.owners, answers, strict=True):
            if owner >= 0:
                by_step[owner] = answer  # first a Parse's answer, last the command's own
        return by_step
