# SPDX-License-Identifier: MIT
"""Put a gate around a batch: it runs only while its version may, and writes only what all know.

The gate is one step of the same transaction, before all others: a check outside of it could be out
of date when the batch runs. It reads the window without a lock, so that it serves read-only batches
and replicas too. A batch that is running while its version is retired may therefore commit after
that; :meth:`Fleet.contract` waits for such a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeVar, cast

from attrs import frozen

from batchq.engine.plan import Plan, plan
from batchq.language.batch import Batch, Bound, Composite
from batchq.language.combining import SECOND
from batchq.language.errors import InvalidBatch
from batchq.language.parameters import Parameter
from batchq.language.placement import Scheduled
from batchq.language.shape import Shape
from batchq.language.tree import declared
from batchq.language.value import value
from batchq.language.value_places import selected_places, stored_places
from batchq.versions.contents import Since
from batchq.versions.stamps import Stamps, check_stamp, stamp_places
from batchq.versions.tables import FleetTables
from batchq.versions.window import may_run, retired_below, window_of

T = TypeVar("T")


@lru_cache(maxsize=1024)
def gate_step(tables: FleetTables, version: int, needs: int) -> Scheduled[None, Any]:
    """Return the step; the same one each time, since to build it takes longer than a small batch.

    :param needs: the version that the oldest running one has to be; 0 for any.
    """
    window = may_run(window_of(tables), version)
    if needs:
        window = retired_below(window, needs)
    key = ("gate", tables, version, needs)
    return Scheduled(window.label("gate"), dedupe_key=key, is_first=True)


@value
class Gated(Composite[T]):
    """The batch that :meth:`Fleet.gate` returns: the gate, and then the other batch."""


def gated(step: Scheduled[None, Any], batch: Batch[T]) -> Batch[T]:
    """Return a batch after its gate.

    A bound batch stays one: what it is bound to is the gated declaration, which is made once.
    """
    if not isinstance(batch, Bound):
        return Gated((step, batch), batch._required_outputs, SECOND)
    known = batch.taken.known
    if step.dedupe_key not in known:
        declaration = Gated[Any]((step, batch.declaration), batch._required_outputs, SECOND)
        known[step.dedupe_key] = declaration, declared(declaration, "gate()")[1]
    declaration, takes = known[step.dedupe_key]
    return cast("Batch[T]", Bound(declaration, takes, batch.given))


@frozen
class WriteCheck:
    """What a batch writes, looked at before it is sent."""

    version: int
    """The version that every stamp has to be."""
    since: Since
    stamps: Stamps

    def needs(self, batch: Batch[Any]) -> int:
        """Return the version that the oldest running one has to be, to know all that is written.

        :raises InvalidBatch: for a batch that is not bound, a row without its stamp, or a value
            that only later versions know.
        """
        made = plan(batch)
        values = made.values
        kinds = set(map(type, values))
        if Parameter in kinds:
            raise InvalidBatch(f"gate(): bind it first, gate({batch!r}.bind(…))")
        if self.stamps:
            self._check_stamps(made, values)
        if not self.since.may_hold(kinds):
            return 0
        needs = max(map(self.since.needs_of, _stored(made, values)), default=0)
        if needs > self.version:
            raise InvalidBatch(
                f"gate(): it writes what version {needs} has added, and this is version "
                f"{self.version}"
            )
        return needs

    def _check_stamps(self, made: Plan, values: Sequence[object]) -> None:
        for shape, start in _with_starts(made):
            for place, column in stamp_places(shape.source, self.stamps):
                call = f"{shape.source.verb}({shape.source.table!r})"
                check_stamp(call, column, values[start + place], self.version)


def _stored(made: Plan, values: Sequence[object]) -> Iterator[object]:
    """Yield the values that the statements may write into rows."""
    for index, (shape, start) in enumerate(_with_starts(made)):
        for place in stored_places(shape.source):
            yield values[start + place]
        if index in made.outputs:  # which another statement may write
            for place in selected_places(shape.source):
                yield values[start + place]


def _with_starts(made: Plan) -> Iterator[tuple[Shape, int]]:
    """Yield the shape of each statement, and the place of its first value among all values."""
    start = 0
    for shape in made.shapes:
        yield shape, start
        start += len(shape.names)
