# SPDX-License-Identifier: MIT
"""Define the interface of a step: a statement at its position in a batch.

It is defined here because errors refer to steps. The engine implements it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol


class Titled(Protocol):
    """The part of a statement that errors need. Compare it with ``is``."""

    @property
    def title(self) -> str:
        """A few words for messages: ``insert project``."""
        ...


class Step(ABC):
    """A statement at its position in a batch; returned by :func:`~batchq.steps`.

    Its ``repr`` contains no values; ``parameters`` does.
    """

    index: int
    """The position in the batch, from 0."""

    @property
    @abstractmethod
    def statement(self) -> Titled:
        """The :class:`~batchq.Statement`, the same object that the caller built."""

    @property
    @abstractmethod
    def path(self) -> str:
        """The labels, outermost first, joined by slashes; empty if there are none."""

    @property
    @abstractmethod
    def row_index(self) -> int | None:
        """The place, from 0, of its row among those of ``.each(rows)``; None for others."""

    @property
    @abstractmethod
    def bound_row(self) -> object:
        """Its row among those of ``.each(rows)``, which may hold secrets; None for others."""

    @property
    @abstractmethod
    def sql(self) -> str:
        """The SQL as sent, with ``$1``, ``$2``, … and with the SQL of its guard.

        To the newest PostgreSQL: for another server the text of ``created()`` and of what a guard
        reports differs.

        :raises InvalidBatch: if the statement cannot be sent as it is.
        """

    @property
    @abstractmethod
    def parameters(self) -> tuple[object, ...]:
        """The values of ``$1``, ``$2``, …, without those of the guard. They may be secrets."""

    @property
    @abstractmethod
    def guard(self) -> str | None:
        """The guard on the number of rows: ``exactly 1 row``; None if there is none."""

    @property
    @abstractmethod
    def notes(self) -> tuple[str, ...]:
        """Warnings about cases in which the statement guarantees less than it seems to."""

    @property
    @abstractmethod
    def mappings(self) -> tuple[str, ...]:
        """The mappings, the one that wins first: ``unique("name") -> NameTaken``."""

    @abstractmethod
    def __str__(self) -> str:
        """Return position, path and title: ``step 2 (project_create/vpc: insert vpc)``.

        That of a row of ``.each(rows)`` ends with its place: ``step 2 (insert vpc, row 0)``.
        """
