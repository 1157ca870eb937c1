# SPDX-License-Identifier: MIT
"""Measuring several sides against each other, so that whatever else the machine does hits them all.

The sides take turns: a round is one turn of each, and each round begins with another one. A turn is
so many calls in a row, and its cost is that of one of them. Sides are compared round by round, so
the ratio of two is not that of their medians but the median of the rounds' ratios.

>>> samples = interleave({"a": work, "b": other_work}, rounds=20, calls=100)
>>> samples.ratio("a", to="b").middle
1.07
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from statistics import median, quantiles
from time import perf_counter, process_time

from attrs import frozen

Side = Callable[[range], float | None]
"""Does the calls of these numbers, one after the other. What has a clock of its own (a program that
has to be started first) returns the seconds that one call took by it."""

WARM_UP = 25
"""Calls of each side before the first round: psycopg prepares what it meets the sixth time, and the
server settles on a plan when it has run a prepared statement five times more."""


@frozen
class Cost:
    """What one call of a turn took, in seconds.

    Attributes:
        wall: by the clock on the wall.
        cpu: of this process; None for a side that ran in another.
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
    def of(cls, values: list[float]) -> Spread:
        """The quartiles; of a single value, three times that."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, _, high = quantiles(values, n=4, method="inclusive")
        return cls(low, median(values), high)


@frozen
class Samples:
    """The costs of each side, a turn at a time; those at the same place are of the same round."""

    costs: Mapping[str, list[Cost]]

    def wall(self, side: str) -> Spread:
        """Seconds a call."""
        return Spread.of([cost.wall for cost in self.costs[side]])

    def cpu(self, side: str) -> Spread | None:
        """Seconds of this process's CPU a call."""
        seen = [cost.cpu for cost in self.costs[side] if cost.cpu is not None]
        return Spread.of(seen) if seen else None

    def ratio(self, side: str, *, to: str) -> Spread:
        """How many times as long as the other one a side took."""
        pairs = zip(self.costs[side], self.costs[to], strict=True)
        return Spread.of([mine.wall / theirs.wall for mine, theirs in pairs])

    def of(self, sides: Mapping[str, str]) -> Samples:
        """Some of the sides, under other names."""
        return Samples({name: self.costs[side] for name, side in sides.items()})


def interleave(
    sides: Mapping[str, Side], *, rounds: int, calls: int, warm_up: int = WARM_UP, first: int = 0
) -> Samples:
    """Let all sides take turns.

    All sides do calls of the same numbers, so that they leave the same behind.

    :param rounds: turns of each side.
    :param calls: calls in a turn.
    :param warm_up: calls of each side that are not counted, in front of the first round.
    :param first: the number of the first call, for sides that have been measured before.
    """
    names = list(sides)
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    for name in names if warm_up else ():
        sides[name](range(first, first + warm_up))
    # The collector runs in front of each turn. What is there already would take it longer than the
    # turn, and is none of the turn's.
    gc.collect()
    gc.freeze()
    try:
        for number in range(rounds):
            turned = number % len(names)
            begin = first + warm_up + number * calls
            for name in [*names[turned:], *names[:turned]]:
                costs[name].append(turn(sides[name], range(begin, begin + calls)))
    finally:
        gc.unfreeze()
    return Samples(costs)


def turn(side: Side, numbers: range) -> Cost:
    """Time some calls in a row, without the garbage collector's moods."""
    gc.collect()
    gc.disable()
    try:
        wall, cpu = perf_counter(), process_time()
        own = side(numbers)
        cpu, wall = process_time() - cpu, perf_counter() - wall
    finally:
        gc.enable()
    if own is not None:
        return Cost(own, None)
    return Cost(wall / len(numbers), cpu / len(numbers))
