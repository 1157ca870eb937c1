# SPDX-License-Identifier: MIT
"""Everything that a batch lacks room for, and not only what failed first.

The server stops at the first charge that is refused. So the counters are read, and the batch's
steps are played through on them here, in the order in which they run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from attrs import define, frozen

from batchq.language.batch import Batch
from batchq.language.builders import raw_sql
from batchq.language.compose import gather
from batchq.language.outputs import Output
from batchq.language.syntax import RawSql, Source
from batchq.limits.queries import Queries
from batchq.running.explain import steps


@frozen
class Shortfall:
    """A step that would be refused, and the counter as that step would find it: with all that the
    batch has done to it before, but for what was refused."""

    scope: UUID
    resource: str
    asked: int
    """How much the step would add; of a resize the difference."""
    used: int | None
    """None, like the next two, when nobody has set this limit."""
    limit: int | None
    ceiling: int | None
    """What ``used`` may not exceed: the limit or, where it was lowered below it, what is used."""

    @property
    def missing(self) -> bool:
        """Whether nobody has set this limit."""
        return self.used is None


class Found(NamedTuple):
    """What was read for one step."""

    used: int | None
    lim: int | None
    ceiling: int | None
    held: int | None
    """What its resource is charged; None when it is not."""


@frozen
class _Ask:
    """One step of a batch that is about a counter."""

    verb: str
    values: Mapping[str, Any]

    @property
    def counter(self) -> tuple[UUID, str]:
        return self.values["scope"], self.values["resource"]

    @property
    def id(self) -> UUID | Output | None:
        return self.values.get("id")

    @property
    def known_id(self) -> UUID | None:
        """None where only the server will know: what has no id yet is not charged yet either."""
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
    """Read what a batch would find and say what it lacks room for; see ``Limits.explain``."""
    asks = _asks(batch, sql)
    if not asks:
        return gather().map(lambda _: [])
    reading = raw_sql(
        sql.look,
        scopes=[ask.counter[0] for ask in asks],
        resources=[ask.counter[1] for ask in asks],
        ids=[ask.known_id for ask in asks],
    )
    return reading.all(Found).label("explain limits").map(lambda found: _played(asks, found))


def _asks(batch: Batch[Any], sql: Queries) -> list[_Ask]:
    """The steps that are about counters, in the order in which they run."""
    known = {
        sql.charge: "charge",
        sql.release: "release",
        sql.resize: "resize",
        sql.set_limit: "set_limit",
    }
    asks: list[_Ask] = []
    for step in steps(batch):
        statement = step.statement
        verb = known.get(_text_of(statement._shape.source) or "")
        if verb is not None:
            values = zip(statement._shape.names, statement._values, strict=True)
            asks.append(_Ask(verb, dict(values)))
    return asks


def _played(asks: Sequence[_Ask], rows: Sequence[Found]) -> list[Shortfall]:
    """Play the steps through on what was read."""
    counters: dict[tuple[UUID, str], _Counter | None] = {}
    charges: dict[object, int | None] = {}
    short: list[Shortfall] = []
    for ask, row in zip(asks, rows, strict=True):
        counter = counters.setdefault(ask.counter, _counter(row))
        n: int = ask.values.get("n", 0)
        if ask.verb == "set_limit":
            counters[ask.counter] = counter = counter or _Counter(0, 0, 0)
            counter.limit(ask.values["lim"])
            continue
        if counter is None:
            short.append(Shortfall(*ask.counter, n, None, None, None))
            continue
        charge = (ask.counter, ask.id)
        held = charges.setdefault(charge, row.held)
        wanted = _wanted(ask.verb, n, held)
        difference = (wanted or 0) - (held or 0)
        if difference > 0 and counter.used + difference > counter.ceiling:
            now = counter.used, counter.lim, counter.ceiling
            short.append(Shortfall(*ask.counter, difference, *now))
            continue
        counter.add(difference)
        charges[charge] = wanted
    return short


def _counter(row: Found) -> _Counter | None:
    if row.used is None or row.lim is None or row.ceiling is None:
        return None
    return _Counter(row.used, row.lim, row.ceiling)


def _wanted(verb: str, n: int, held: int | None) -> int | None:
    """What the resource will be charged; None when nothing."""
    if verb == "release":
        return None
    if verb == "resize" and held is None:
        return None  # refused, but not for want of room
    return held if verb == "charge" and held is not None else n


def _text_of(source: Source) -> str | None:
    """The text that a statement was written as; None for a builder's."""
    if not isinstance(source, RawSql):
        return None
    first, *others = (piece.replace("%", "%%") for piece in source.pieces)
    names = (source.names[place] for place in source.order)
    return first + "".join(f"%({name})s{piece}" for name, piece in zip(names, others, strict=True))
