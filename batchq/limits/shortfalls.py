# SPDX-License-Identifier: MIT
"""Find every limit that a batch would exceed, not only the first.

The server stops at the first charge that fails. So the counters are read, and the steps of the
batch are simulated on them here, in the order in which they run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from attrs import define, frozen

from batchq.language.batch import Batch
from batchq.language.compose import gather
from batchq.language.local_settings import ALL_ROWS, with_settings
from batchq.language.outputs import Output
from batchq.language.syntax import RawSql
from batchq.limits.queries import Queries
from batchq.running.explain import steps


@frozen
class Shortfall:
    """A step that would fail, and the counter as the steps before it would have left it.

    Steps that would fail do not change the counter.
    """

    scope: UUID
    resource: str
    asked: int
    """Amount that the step would add; for a resize the difference."""
    used: int | None
    """None, like ``limit`` and ``ceiling``, if the limit is not set."""
    limit: int | None
    ceiling: int | None
    """Maximum of ``used``: the limit or, if it was set below the current use, that use."""

    @property
    def missing(self) -> bool:
        """Return True if the limit is not set."""
        return self.used is None


class CounterRow(NamedTuple):
    """Row that was read for one step."""

    used: int | None
    lim: int | None
    ceiling: int | None
    held: int | None
    """Amount that the resource is charged; None if it is not."""


@frozen
class _CounterStep:
    """A step that reads or writes a counter."""

    operation: str
    values: Mapping[str, Any]

    @property
    def counter(self) -> tuple[UUID, str]:
        return self.values["scope"], self.values["resource"]

    @property
    def id(self) -> UUID | Output | None:
        return self.values.get("id")

    @property
    def known_id(self) -> UUID | None:
        """Return the id; None for an output: what has no id yet is not charged yet."""
        return self.id if isinstance(self.id, UUID) else None


@define
class _Counter:
    used: int
    lim: int
    ceiling: int

    def add(self, n: int) -> None:
        self.used += n
        if n < 0:
            self.ceiling = max(self.lim, self.used)

    def limit(self, lim: int) -> None:
        self.lim, self.ceiling = lim, max(lim, self.used)


def shortfalls_of(batch: Batch[Any], sql: Queries) -> Batch[list[Shortfall]]:
    """Return a batch that reads the counters and finds what :meth:`Limits.shortfalls` returns."""
    counter_steps = _counter_steps(batch, sql)
    if not counter_steps:
        return gather().map(lambda _: [])
    statement = sql.read.fill(
        scopes=[step.counter[0] for step in counter_steps],
        resources=[step.counter[1] for step in counter_steps],
        ids=[step.known_id for step in counter_steps],
    )
    reading = statement.all(CounterRow).label("read limits")
    # What a policy hid from this role would be reported as not set, or not charged.
    return with_settings(ALL_ROWS, reading).map(lambda rows: _simulate(counter_steps, rows))


def _counter_steps(batch: Batch[Any], sql: Queries) -> list[_CounterStep]:
    """Return the steps on counters, in the order in which they run."""
    operations = {
        sql.charge.text: "charge",
        sql.release.text: "release",
        sql.resize.text: "resize",
        sql.set_limit.text: "set_limit",
    }
    counter_steps: list[_CounterStep] = []
    for step in steps(batch):
        statement = step.statement
        source = statement._shape.source
        operation = operations.get(source.text) if isinstance(source, RawSql) else None
        if operation is not None:
            values = zip(statement._shape.names, step.placed.values, strict=True)
            counter_steps.append(_CounterStep(operation, dict(values)))
    return counter_steps


def _simulate(counter_steps: Sequence[_CounterStep], rows: Sequence[CounterRow]) -> list[Shortfall]:
    """Run the steps on the counters that were read."""
    counters: dict[tuple[UUID, str], _Counter | None] = {}
    charges: dict[object, int | None] = {}
    shortfalls: list[Shortfall] = []
    for step, row in zip(counter_steps, rows, strict=True):
        counter = counters.setdefault(step.counter, _counter(row))
        n: int = step.values.get("n", 0)
        if step.operation == "set_limit":
            counters[step.counter] = counter = counter or _Counter(0, 0, 0)
            counter.limit(step.values["lim"])
            continue
        if counter is None:
            shortfalls.append(Shortfall(*step.counter, n, None, None, None))
            continue
        charge = (step.counter, step.id)
        held = charges.setdefault(charge, row.held)
        new = _charge_after(step.operation, n, held)
        difference = (new or 0) - (held or 0)
        if difference > 0 and counter.used + difference > counter.ceiling:
            now = counter.used, counter.lim, counter.ceiling
            shortfalls.append(Shortfall(*step.counter, difference, *now))
            continue
        counter.add(difference)
        charges[charge] = new
    return shortfalls


def _counter(row: CounterRow) -> _Counter | None:
    if row.used is None or row.lim is None or row.ceiling is None:
        return None
    return _Counter(row.used, row.lim, row.ceiling)


def _charge_after(operation: str, n: int, held: int | None) -> int | None:
    """Return the amount that the resource is charged after the step; None if it is not."""
    if operation == "release":
        return None
    if operation == "resize" and held is None:
        return None  # it fails, but not because of the limit
    return held if operation == "charge" and held is not None else n
