# SPDX-License-Identifier: MIT
"""Record a step for an error that is pickled, as by a pool of processes.

The statement of a step may hold parameters and functions, which cannot be pickled, and then the
error would be lost with the outcome that it reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from attrs import field, frozen

from batchq.language.errors import InvalidBatch
from batchq.language.pickling import picklable
from batchq.language.step import Step

T = TypeVar("T")


@frozen
class RecordedStatement:
    """What is left of a statement: its title."""

    title: str


@frozen(eq=False)
class RecordedStep(Step):
    """What a step shows, without its statement."""

    index: int
    title: str = field(repr=False)
    text: str = field(repr=False)
    shown: Mapping[str, Any] = field(repr=False)
    """What the properties return, by their names."""

    @property
    def statement(self) -> RecordedStatement:
        """Only the title of the statement."""
        return RecordedStatement(self.title)

    @property
    def path(self) -> str:
        """The labels, outermost first."""
        found: str = self.shown["path"]
        return found

    @property
    def row_index(self) -> int | None:
        """The place of its row among those of ``.each()``."""
        found: int | None = self.shown["row_index"]
        return found

    @property
    def bound_row(self) -> object:
        """Its row among those of ``.each()``."""
        found: object = self.shown["bound_row"]
        return found

    @property
    def sql(self) -> str:
        """The SQL as sent; empty if it could not be sent as it is."""
        found: str = self.shown["sql"]
        return found

    @property
    def parameters(self) -> tuple[object, ...]:
        """The values of ``$1``, ``$2``, …."""
        found: tuple[object, ...] = self.shown["parameters"]
        return found

    @property
    def guard(self) -> str | None:
        """The guard on the number of rows."""
        found: str | None = self.shown["guard"]
        return found

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings for the reader."""
        found: tuple[str, ...] = self.shown["notes"]
        return found

    @property
    def mappings(self) -> tuple[str, ...]:
        """The mappings, strongest first."""
        found: tuple[str, ...] = self.shown["mappings"]
        return found

    def __str__(self) -> str:
        return self.text


def recorded(step: Step) -> RecordedStep:
    """Return the record of a step. A value that cannot be pickled is replaced by words."""
    shown = {
        "path": step.path,
        "row_index": step.row_index,
        "bound_row": picklable(step.bound_row),
        "sql": _unless_invalid(lambda: step.sql) or "",
        "parameters": tuple(map(picklable, _unless_invalid(lambda: step.parameters) or ())),
        "guard": step.guard,
        "notes": _unless_invalid(lambda: step.notes) or (),
        "mappings": step.mappings,
    }
    return RecordedStep(step.index, step.statement.title, str(step), shown)


def _unless_invalid(read: Callable[[], T]) -> T | None:
    with suppress(InvalidBatch):
        return read()
    return None
