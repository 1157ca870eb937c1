# SPDX-License-Identifier: MIT
"""Record a step for an error that is pickled, as by a pool of processes.

The statement of a step may hold parameters and functions, which cannot be pickled, and then the
error would be lost with the outcome that it reports.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

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
    path: str = field(repr=False)
    statement: RecordedStatement = field(repr=False)
    row_index: int | None = field(repr=False)
    bound_row: object = field(repr=False)
    sql: str = field(repr=False)
    """Empty if the statement could not be sent as it is."""
    parameters: tuple[object, ...] = field(repr=False)
    guard: str | None = field(repr=False)
    notes: tuple[str, ...] = field(repr=False)
    mappings: tuple[str, ...] = field(repr=False)
    text: str = field(repr=False)

    def __str__(self) -> str:
        return self.text


def recorded(step: Step) -> RecordedStep:
    """Return the record of a step. A value that cannot be pickled is replaced by words."""
    return RecordedStep(
        step.index,
        step.path,
        RecordedStatement(step.statement.title),
        step.row_index,
        picklable(step.bound_row),
        _unless_invalid(lambda: step.sql) or "",
        tuple(map(picklable, _unless_invalid(lambda: step.parameters) or ())),
        step.guard,
        _unless_invalid(lambda: step.notes) or (),
        step.mappings,
        str(step),
    )


def _unless_invalid(read: Callable[[], T]) -> T | None:
    with suppress(InvalidBatch):
        return read()
    return None
