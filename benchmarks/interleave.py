# SPDX-License-Identifier: MIT
"""Measure several sides in turns, so that whatever else the machine does affects all of them.

A round is one turn of each side, and each round begins with another side. A turn is a number of
calls in a row, and its cost is that of one of them. Sides are compared round by round: the ratio of
two sides is not that of their medians but the median of the rounds' ratios.

>>> samples = interleave({"a": work, "b": other_work}, rounds=20, calls=100)
>>> samples.ratio("a", to="b").middle
1.07
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from statistics import median, quantiles
from time import perf_counter, process_time

from attrs import frozen

Side = Callable[[range], object]
"""Does the calls of these numbers, one after the other."""

WARM_UP = 25
"""Calls of each side before the first round: psycopg prepares a statement the sixth time, and the
server settles on a plan after five more executions of a prepared statement."""


@frozen
class Cost:
    """The seconds that one call of a turn took.

    Attributes:
        wall: by the clock on the wall.
        cpu: of this process; None for a side that runs in another one.
    """

    wall: float
    cpu: float | None


@frozen
class Spread:
    """A median, and the middle half around it."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the quartiles; of a single value, three times that value."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, _, high = quantiles(values, n=4, method="inclusive")
        return cls(low, median(values), high)


@frozen
class Samples:
    """The costs of each side, one a turn; those at the same place are of the same round."""

    costs: Mapping[str, Sequence[Cost]]

    def wall(self, side: str) -> Spread:
        """Return the seconds of a call."""
        return Spread.of([cost.wall for cost in self.costs[side]])

    def cpu(self, side: str) -> Spread | None:
        """Return the seconds of this process's CPU that a call took."""
        known = [cost.cpu for cost in self.costs[side] if cost.cpu is not None]
        return Spread.of(known) if known else None

    def ratio(self, side: str, *, to: str) -> Spread:
        """Return how many times as long as the other side a side took."""
        pairs = zip(self.costs[side], self.costs[to], strict=True)
        return Spread.of([cost.wall / other.wall for cost, other in pairs])


def rotated(names: Sequence[str], number: int) -> list[str]:
    """Return the order of the sides in the round of this number."""
    first = number % len(names)
    return [*names[first:], *names[:first]]


def interleave(
    sides: Mapping[str, Side], *, rounds: int, calls: int, warm_up: int = WARM_UP, first: int = 0
) -> Samples:
    """Let all sides take turns.

    All sides do calls of the same numbers, so that they leave the same rows.

    :param rounds: turns of each side.
    :param calls: calls in a turn.
    :param warm_up: calls of each side before the first round, which are not counted.
    :param first: the number of the first call, for sides that have been measured before.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in sides}
    for side in sides.values() if warm_up else ():
        side(range(first, first + warm_up))
    # The collector runs before each turn. To pass over all objects that exist by now would take it
    # longer than the turn, and would evict what the turn has in the processor's caches.
    gc.collect()
    gc.freeze()
    try:
        for number in range(rounds):
            begin = first + warm_up + number * calls
            for name in rotated(list(sides), number):
                costs[name].append(turn(sides[name], range(begin, begin + calls)))
    finally:
        gc.unfreeze()
    return Samples(costs)


def turn(side: Side, numbers: range) -> Cost:
    """Time some calls in a row, with the garbage collector off."""
    gc.collect()
    gc.disable()
    try:
        wall, cpu = perf_counter(), process_time()
        side(numbers)
        cpu, wall = process_time() - cpu, perf_counter() - wall
    finally:
        gc.enable()
    return Cost(wall / len(numbers), cpu / len(numbers))
