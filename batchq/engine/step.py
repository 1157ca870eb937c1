# SPDX-License-Identifier: MIT
"""Describe a statement at its place, for errors and for ``steps(batch)``.

Each property is computed when it is read, so a step that no caller looks at costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import astuple, field, frozen

from batchq.engine.compile.compile import compiled
from batchq.engine.compile.notes import LOOK, unknown_result
from batchq.engine.scope import PlacedStatement
from batchq.language.comparisons import with_copies
from batchq.language.errors import InvalidBatch
from batchq.language.outputs import Output
from batchq.language.recorded_step import RecordedStep, recorded
from batchq.language.step import Step
from batchq.language.value_places import by_precedence

if TYPE_CHECKING:
    from batchq.engine.plan import Plan
    from batchq.language.mapping import ErrorMapping
    from batchq.language.statement import Statement


@frozen(eq=False)
class PlacedStep(Step):
    """A step of a planned batch."""

    index: int
    placed: PlacedStatement = field(repr=False)
    after_lock: bool = field(default=False, repr=False)
    """Whether an earlier step locks a row; known to ``steps()`` and ``explain()`` alone."""
    before_write: bool = field(default=False, repr=False)
    """Whether a later step writes; likewise."""

    @property
    def statement(self) -> Statement[Any]:
        """The statement object that the caller built."""
        repeated = self.placed.leaf.repeated
        return self.placed.statement if repeated is None else repeated

    @property
    def path(self) -> str:
        """The labels, outermost first."""
        return self.placed.declared.path

    @property
    def row_index(self) -> int | None:
        """The place of its row among those of ``.each()``."""
        return self.placed.declared.row_index

    @property
    def bound_row(self) -> object:
        """Its row among those of ``.each()``."""
        return self.placed.leaf.bound_row

    @property
    def sql(self) -> str:
        """The SQL as sent."""
        return compiled(self.placed.statement._shape, self.placed.outputs).sql

    @property
    def order(self) -> tuple[int, ...]:
        """The index of the value at ``$1``, ``$2``, …, without the parameters a guard adds."""
        order = compiled(self.placed.statement._shape, self.placed.outputs).order
        return tuple(range(len(self.placed.values))) if order is None else order

    @property
    def parameters(self) -> tuple[object, ...]:
        """The values of ``$1``, ``$2``, …."""
        return tuple(self.placed.values[place] for place in self.order)

    @property
    def named_values(self) -> dict[str, object]:
        """The values by name, lists copied: the batch's own do not change."""
        values = with_copies("", self.placed.values)
        return {
            name: value
            for name, index in by_precedence(self.placed.statement._shape)
            if not isinstance(value := values[index], Output)
        }

    @property
    def guard(self) -> str | None:
        """The guard on the number of rows."""
        guard = self.placed.statement._shape.guard
        return None if guard is None else str(guard)

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings for the reader."""
        shape = self.placed.statement._shape
        notes = unknown_result(shape)
        if self.after_lock:
            return notes
        looks = shape.probe is not None and self.before_write
        snapshot = compiled(shape, self.placed.outputs).notes
        return (*snapshot, *((LOOK,) if looks else ()), *notes)

    @property
    def mappings(self) -> tuple[str, ...]:
        """The mappings, strongest first; those of row guards in the order of their checks."""
        mappings = list(self.placed.declared.mappings)
        guards = [n for n, mapping in enumerate(mappings) if _requirement(mapping) >= 0]
        in_order = sorted((mappings[n] for n in guards), key=_requirement)
        for n, mapping in zip(guards, in_order, strict=True):
            mappings[n] = mapping
        return tuple(
            [
                f"inside {mapping!r}: as mapped below -> InvariantViolation"
                if isinstance(mapping, str)
                else str(mapping)
                for mapping in mappings
            ]
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it shows."""
        return RecordedStep, astuple(recorded(self), recurse=False)

    def __str__(self) -> str:
        declared = self.placed.declared
        path = f"{declared.path}: " if declared.path else ""
        row = "" if declared.row_index is None else f", row {declared.row_index}"
        return f"step {self.index} ({path}{declared.title}{row})"


def invalid_step(plan: Plan, index: int, reason: object) -> InvalidBatch:
    """Return the error for a step that cannot be sent as it is."""
    step = PlacedStep(index, plan.place(index)[index])
    return InvalidBatch(f"{step}: {reason}", step=step)


def _requirement(mapping: ErrorMapping | str) -> int:
    """Return the place of the row guard that a mapping is for, in the order of checks; else -1."""
    requirement = None if isinstance(mapping, str) else mapping.matcher.requirement
    return -1 if requirement is None else requirement
