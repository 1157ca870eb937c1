# SPDX-License-Identifier: MIT
"""Measure several sides in turns, so that whatever else the machine does affects all of them.

A round is one turn of each side, and each round begins with another side. A turn is a number of
calls in a row, and its cost is that of one of them. Sides are compared round by round: the ratio of
two sides is not that of their medians but the median of the rounds' ratios.

>>> samples = interleave({"a": partial(timed, work), "b": other_turn}, rounds=20, calls=100)
>>> samples.ratio("a", to="b").middle
1.07
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from statistics import median, quantiles
from time import perf_counter, process_time
from typing import Literal

from attrs import frozen

Clock = Literal["wall", "cpu"]
CLOCKS: tuple[Clock, ...] = ("wall", "cpu")

WARM_UP = 25
"""Calls of each side before the first round: psycopg prepares a statement the sixth time, and the
server settles on a plan after five more executions of a prepared statement."""


@frozen
class Cost:
    """The seconds that one call of a turn took: by the clock on the wall, and of the CPU."""

    wall: float
    cpu: float


Turn = Callable[[range], Cost]
"""Makes the calls of these numbers, one after the other, and returns the cost of one."""


@frozen
class Spread:
    """A median, and the 10th and the 90th percentile around it."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread; of a single value, three times that value."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, *_, high = quantiles(values, n=10, method="inclusive")
        return cls(low, median(values), high)


@frozen
class Samples:
    """The costs of each side, one a turn; those at the same place are of the same round."""

    costs: Mapping[str, Sequence[Cost]]

    def seconds(self, side: str, clock: Clock = "wall") -> list[float]:
        """Return the seconds of a call in each round."""
        return [getattr(cost, clock) for cost in self.costs[side]]

    def spread(self, side: str, clock: Clock = "wall") -> Spread:
        """Return the spread of the seconds of a call."""
        return Spread.of(self.seconds(side, clock))

    def ratio(self, side: str, *, to: str, clock: Clock = "wall") -> Spread:
        """Return how many times as long as the other side a side took."""
        pairs = zip(self.seconds(side, clock), self.seconds(to, clock), strict=True)
        return Spread.of([own / other for own, other in pairs])


def interleave(turns: Mapping[str, Turn], *, rounds: int, calls: int, first: int = 0) -> Samples:
    """Let all sides take turns.

    All sides make calls of the same numbers, so that they leave the same rows.

    :param rounds: turns of each side.
    :param calls: calls in a turn.
    :param first: the number of the first call, after those that warmed the sides up.
    """
    names = list(turns)
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    # The collector runs before each turn. To pass over all objects that exist by now would take it
    # longer than the turn, and would evict what the turn has in the processor's caches.
    gc.collect()
    gc.freeze()
    try:
        for number in range(rounds):
            begin = first + number * calls
            start = number % len(names)
            for name in names[start:] + names[:start]:
                costs[name].append(turns[name](range(begin, begin + calls)))
    finally:
        gc.unfreeze()
    return Samples(costs)


def timed(work: Callable[[range], object], numbers: range) -> Cost:
    """Take a turn in this process, with the garbage collector off."""
    gc.collect()
    gc.disable()
    try:
        wall, cpu = perf_counter(), process_time()
        work(numbers)
        cpu, wall = process_time() - cpu, perf_counter() - wall
    finally:
        gc.enable()
    return Cost(wall / len(numbers), cpu / len(numbers))
