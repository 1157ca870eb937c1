# SPDX-License-Identifier: MIT
"""Hold a flight: all commands that are sent to the server together, each with its owner.

The answer in slot i always belongs to command i. So each command has an owner: a step's index, or a
part of the frame.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from batchq.engine.wire.encoded import EncodedStep
    from batchq.engine.wire.statement_cache import ValueChecks

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


class Run(NamedTuple):
    """A command that runs a statement of the frame or a step."""

    owner: int
    command: bytes
    """The name of the prepared statement, or the SQL of one that runs unprepared."""
    key: bytes | None
    """The key of the prepared statement; None: it runs unprepared."""
    checks: ValueChecks = ()
    """The tests that the values have to pass to be run by this name."""


class Flight:
    """Commands for libpq's pipeline, and the purpose of each."""

    __slots__ = (
        *("commands", "owners", "runs", "parses"),
        *("describes", "closes", "checked", "unnamed", "closing"),
    )

    def __init__(self) -> None:
        self.commands: list[Callable[[], None]] = []
        self.owners: list[int] = []
        self.runs: list[Run] = []
        """The commands that run a statement of the frame or a step."""
        self.parses: list[tuple[int, bytes]] = []
        """The commands that prepare a statement, each with the statement's key."""
        self.describes: list[tuple[int, bytes, EncodedStep]] = []
        """The commands that request the types the server infers, each with a key and its step. Each
        follows the Parse that it describes."""
        self.closes: list[int] = []
        """The commands that close a prepared statement."""
        self.checked: set[int] = set()
        """The commands that prepare or run a text that checks the types of columns."""
        self.unnamed: set[int] = set()
        """The commands that run unprepared, and so cannot fail because a name is lost, stale or
        taken."""
        self.closing = -1
        """The command that closes the transaction, if it is a batch's."""

    def is_repeatable(self, unprepared: Collection[int]) -> bool:
        """Return whether it runs only prepared statements, and prepares and closes nothing.

        :param unprepared: the owners whose commands never run prepared.
        """
        if self.parses or self.describes or self.closes:
            return False
        return all(run.key is not None or run.owner in unprepared for run in self.runs)

    def send(self) -> None:
        """Pass every command to libpq's buffer."""
        for command in self.commands:
            command()

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
