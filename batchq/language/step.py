# SPDX-License-Identifier: MIT
"""Looking before running: each statement at its place, with its SQL, without a database."""

from __future__ import annotations

from typing import Any, Protocol

from attrs import field, frozen

from batchq.language.batch import Batch
from batchq.language.effects import locks, writes
from batchq.language.plan import Leaf, plan
from batchq.language.statement import Statement


@frozen
class Rendered:
    """A statement as it is sent."""

    sql: str
    order: tuple[int, ...]
    """Which value stands at ``$1``, ``$2``, …, without what the engine adds behind them."""
    notes: tuple[str, ...]
    """What a reader should know about it."""
    unlocked: tuple[str, ...] = ()
    """The same, where no step before it holds a lock."""
    unlocked_look: tuple[str, ...] = ()
    """The same, where a step behind it writes besides."""


class Renderer(Protocol):
    """What the engine, one floor up, has to offer so that a step can show its SQL."""

    def __call__(self, leaf: Leaf, /) -> Rendered:
        """Show a statement at its place."""
        ...


class _Port:
    """Where the engine plugs its renderer in. Imports only go down the floors; this is the one
    thing that the language needs from above, so it is handed down instead."""

    render: Renderer


port = _Port()


@frozen(eq=False)
class Step:
    """A statement at its place in a batch.

    ``repr`` shows no values; ``parameters`` does.
    """

    index: int
    """Its place in the batch, from 0."""
    leaf: Leaf = field(repr=False)
    around: tuple[Leaf, ...] = field(default=(), repr=False)
    """All of the batch, in order, where it was made to be looked at."""

    @property
    def statement(self) -> Statement[Any]:
        """The very object that the caller built."""
        return self.leaf.statement

    @property
    def path(self) -> str:
        """Its labels, outermost first, joined by slashes; empty when nothing is labelled."""
        return self.leaf.path

    @property
    def sql(self) -> str:
        """The SQL as sent, with ``$1``, ``$2``, … and with its guard.

        :raises InvalidBatch: when the statement cannot be sent as it is.
        """
        return port.render(self.leaf).sql

    @property
    def parameters(self) -> tuple[object, ...]:
        """The values of ``$1``, ``$2``, …, without those that a guard adds. May hold secrets."""
        values = self.statement.values
        return tuple(values[i] for i in port.render(self.leaf).order)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know: where the statement is less than it looks."""
        shown = port.render(self.leaf)
        before, behind = self.around[: self.index], self.around[self.index + 1 :]
        if any(locks(one.statement) for one in before):
            return shown.notes
        guarded = any(writes(one.statement) for one in behind)
        return (*shown.unlocked, *(shown.unlocked_look if guarded else ()), *shown.notes)

    @property
    def meanings(self) -> tuple[str, ...]:
        """What its failures mean, strongest first: ``unique("name") -> NameTaken``."""
        return tuple(
            f"inside {one!r}: as mapped below -> InvariantViolation"
            if isinstance(one, str)
            else str(one)
            for one in self.leaf.said
        )

    def __str__(self) -> str:
        """Name the step for people: ``step 2 (project_create/vpc: insert vpc)``."""
        path = f"{self.path}: " if self.path else ""
        return f"step {self.index} ({path}{self.statement.title})"


def steps(batch: Batch[Any]) -> tuple[Step, ...]:
    """Every statement of the batch at its place, in the order they run."""
    leaves = tuple(plan(batch).leaves)
    return tuple(Step(index, leaf, leaves) for index, leaf in enumerate(leaves))


def explain(all_steps: tuple[Step, ...], *, parameters: bool) -> str:
    """Show steps as text: place, SQL, guard, mappings; the parameters when asked for."""
    lines: list[str] = []
    for step in all_steps:
        statement = step.statement
        lines.append(str(step))
        lines.extend(f"    {line}" for line in step.sql.splitlines())
        if parameters:
            names, order = statement.shape.names, port.render(step.leaf).order
            shown = [f"${n} {names[i]} = {statement.values[i]!r}" for n, i in enumerate(order, 1)]
            lines.extend(f"    {line}" for line in shown)
        if statement.guard is not None:
            lines.append(f"    guard: {statement.guard}")
        lines.extend(f"    {meaning}" for meaning in step.meanings)
        lines.extend(f"    note: {note}" for note in step.notes)
    return "\n".join(lines)
