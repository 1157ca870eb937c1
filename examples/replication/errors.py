# SPDX-License-Identifier: MIT
"""What a replicator may be answered instead of a result."""

from __future__ import annotations

from batchq import (
    ConnectionFailed,
    DeadlineExceeded,
    OutcomeUnknown,
    ReadOnlyServer,
    SerializationConflict,
    StatementCanceled,
)

UNAVAILABLE = (
    ConnectionFailed,
    DeadlineExceeded,
    OutcomeUnknown,
    ReadOnlyServer,
    SerializationConflict,
    StatementCanceled,
)
"""A server that cannot do it now. Any other failure of a batch is a bug, and is raised."""


class NoSet(LookupError):
    """There is no set of artifacts with this id."""


class SetChanged(Exception):
    """The set has changed while it was read in pages."""


class Stale(Exception):
    """A depot was asked by a newer state of the set: the sender's whole plan is out of date."""

    def __init__(self, depot: str, generation: int, known: int) -> None:
        super().__init__(depot, generation, known)
        self.depot = depot
        self.generation = generation
        """The generation of the refused request."""
        self.known = known
        """The generation that the depot knows."""

    def __str__(self) -> str:
        """Return both generations."""
        return f"{self.depot} knows generation {self.known}; {self.generation} is older"


class Conflict(Exception):
    """A depot was asked by another set of the same generation: a sender has read a wrong set."""

    def __init__(self, depot: str, generation: int) -> None:
        super().__init__(depot, generation)
        self.depot = depot
        self.generation = generation

    def __str__(self) -> str:
        """Return the depot and the generation."""
        return f"{self.depot} knows another set of generation {self.generation}"


class DepotError(Exception):
    """A request failed at one depot. The others do not depend on it."""


class Unreachable(DepotError):
    """The depot did not answer. It may have done what was asked: the next listing shows it."""


class NoCopy(DepotError):
    """The depot to copy from does not have the artifact any more."""
