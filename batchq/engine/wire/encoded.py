# SPDX-License-Identifier: MIT
"""Hold a batch's encoded values, and the types to prepare each of its statements by."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import groupby, repeat
from typing import TYPE_CHECKING, Any

from attrs import define

from batchq.engine.compile.compile import Compiled
from batchq.engine.compile.parameter_places import Place

if TYPE_CHECKING:
    from psycopg.types import TypesRegistry

    from batchq.engine.program import Program
    from batchq.engine.wire.constants import Constants

SentTypes = dict[Compiled, tuple[int, ...]]
"""The types of each statement's parameters when it was last sent on a connection."""
_MOST_SENT = 4096
"""The number of statements whose types are kept: as many as are kept compiled."""


@define(eq=False)
class EncodedStep:
    """One step, or several in a row that differ in their values alone, ready to be sent."""

    compiled: Compiled
    params: Sequence[Any]
    """Bytes, or None for NULL, in the order of ``$1``, ``$2``, …; of one step after the other."""
    types: tuple[int, ...]
    """The type OIDs of one step; 0 lets the server infer the type."""
    settled: tuple[int, ...]
    """The type OIDs to prepare by: those of ``types``, and the type last sent for a value that has
    none."""
    formats: Sequence[int]
    """Text or binary. Not part of a statement's identity: each Bind declares them again."""
    count: int = 1
    """The number of steps."""

    def one(self, number: int) -> EncodedStep:
        """Return one of several steps."""
        width = len(self.types)
        own = slice(number * width, (number + 1) * width)
        params, formats = self.params[own], self.formats[own]
        return EncodedStep(self.compiled, params, self.types, self.settled, formats)


@define(eq=False)
class Encoded:
    """The parameters of all steps of a batch, one step after the other."""

    program: Program
    params: Sequence[Any]
    types: tuple[int, ...]
    formats: Sequence[int]
    missing: tuple[int, ...]
    """The places of values that have no type of their own; that of an empty list as ``~place``."""
    kinds: AbstractSet[type[object]]
    """The classes of the values, and of those in lists; but of kept constants."""
    size: int
    """No fewer bytes than all values have."""
    constants: Constants | None = None
    """The constants among the values of a bound batch."""

    def steps(self, sent: SentTypes, registry: TypesRegistry) -> list[EncodedStep]:
        """Return each step on its own, but steps that differ in their values alone as one.

        :param sent: the types that were last sent on this connection, which is brought up to date.
        :param registry: the connection's, which knows the types of arrays.
        """
        steps: list[EncodedStep] = []
        nulls = {place for place in self.missing if place >= 0}
        lists = {~place for place in self.missing if place < 0}
        start = 0
        for compiled, count in self._repetitions():
            width = compiled.parameters
            end = start + width * count
            settled = types = self.types[start : start + width]
            last = sent.get(compiled)
            if last is not None and types != last:
                own = range(start, start + width)
                untyped = {place - start for place in nulls.intersection(own)}
                # An empty list is text, so it keeps its value only by way of an array's type.
                untyped |= {
                    place - start
                    for place in lists.intersection(own)
                    if _is_array(last[place - start], registry)
                }
                settled = _settled(types, last, untyped, compiled.places)
            if settled != last:
                _remember(sent, compiled, settled)
            params, formats = self.params, self.formats
            if end - start < len(params):
                params, formats = params[start:end], formats[start:end]
            steps.append(EncodedStep(compiled, params, types, settled, formats, count))
            start = end
        return steps

    def _repetitions(self) -> Iterator[tuple[Compiled, int]]:
        """Yield each statement and how often it comes in a row with values of the same types."""
        start = 0
        untyped = [max(place, ~place) for place in self.missing]
        for compiled, same in groupby(self.program.steps):
            count = len(list(same))
            width = compiled.parameters
            end = start + width * count
            is_typed = bisect_left(untyped, start) == bisect_left(untyped, end)
            if width and count > 1 and is_typed and self._are_alike(start, end, width):
                yield compiled, count
            else:
                yield from repeat((compiled, 1), count)
            start = end

    def _are_alike(self, start: int, end: int, width: int) -> bool:
        """Return whether the values of statements of so many parameters have the same types."""
        columns = (self.types[first:end:width] for first in range(start, start + width))
        return all(column.count(column[0]) == len(column) for column in columns)


def _remember(sent: SentTypes, compiled: Compiled, types: tuple[int, ...]) -> None:
    """Record the types as last sent."""
    if compiled not in sent and len(sent) >= _MOST_SENT:
        sent.clear()
    sent[compiled] = types


def _is_array(oid: int, registry: TypesRegistry) -> bool:
    info = registry.get(oid)
    return info is not None and info.array_oid == oid


def _settled(
    types: tuple[int, ...],
    last: tuple[int, ...],
    missing: AbstractSet[int],
    places: tuple[Place, ...],
) -> tuple[int, ...]:
    """Return the types, with the last one sent for NULL and the empty list, which have none.

    Otherwise the server would prepare another statement whenever a value is missing. In the user's
    own SQL the types stay, because there the type of a NULL may decide which function is called.
    """
    return tuple(
        old if index in missing and place is not Place.FREE else new
        for index, (new, old, place) in enumerate(zip(types, last, places, strict=True))
    )
