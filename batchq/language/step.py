# SPDX-License-Identifier: MIT
"""What a user sees of a statement at its place in a batch.

The lowest floor defines it because errors carry it. The engine, one floor up, makes it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol


class Titled(Protocol):
    """A statement, as far as errors know it; compare it with ``is``."""

    @property
    def title(self) -> str:
        """A few words for people: ``insert project``."""
        ...


class Step(ABC):
    """A statement at its place in a batch.

    ``repr`` shows no values; ``parameters`` does.
    """

    index: int
    """Its place in the batch, from 0."""

    @property
    @abstractmethod
    def statement(self) -> Titled:
        """The very :class:`~batchq.Statement` that the caller built."""

    @property
    @abstractmethod
    def path(self) -> str:
        """Its labels, outermost first, joined by slashes; empty if nothing is labelled."""

    @property
    @abstractmethod
    def sql(self) -> str:
        """The SQL as sent, with ``$1``, ``$2``, … and with its guard.

        :raises InvalidBatch: if the statement cannot be sent as it is.
        """

    @property
    @abstractmethod
    def parameters(self) -> tuple[object, ...]:
        """The values of ``$1``, ``$2``, …, without those that a guard adds. May hold secrets."""

    @property
    @abstractmethod
    def guard(self) -> str | None:
        """The guard on its number of rows: ``exactly 1 row``; None if it has none."""

    @property
    @abstractmethod
    def notes(self) -> tuple[str, ...]:
        """Warnings for the reader: where the statement promises less than it seems to."""

    @property
    @abstractmethod
    def mappings(self) -> tuple[str, ...]:
        """Its mappings, strongest first: ``unique("name") -> NameTaken``."""

    def __str__(self) -> str:
        """Name the step for people: ``step 2 (project_create/vpc: insert vpc)``."""
        path = f"{self.path}: " if self.path else ""
        return f"step {self.index} ({path}{self.statement.title})"
