# SPDX-License-Identifier: MIT
"""Telling pytest-benchmark what was measured already.

It runs one side after the other, which compares the machine's moods as well. So the sides are
measured in turns, and each test then goes through its side's samples by a clock that shows them:
tables, JSON, ``--benchmark-compare`` and ``--benchmark-autosave`` are pytest-benchmark's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from attrs import define

from benchmarks.results import Result


@define(eq=False)
class Clock:
    """A clock that goes on by one sample a tick."""

    samples: Iterator[float]
    now: float = 0.0

    def time(self) -> float:
        """The seconds by it."""
        return self.now

    def tick(self) -> None:
        """Let a sample's time go by."""
        self.now += next(self.samples)


def replay(request: pytest.FixtureRequest, result: Result, peer: str) -> None:
    """Report what a peer took as the benchmark of this test."""
    costs = result.samples.costs[peer]
    clock = Clock(cost.wall for cost in costs)
    request.node.add_marker(pytest.mark.benchmark(timer=clock.time, group=result.title))
    benchmark: Any = request.getfixturevalue("benchmark")
    benchmark.pedantic(clock.tick, rounds=len(costs), iterations=1)
    cpu = result.samples.cpu(peer)
    benchmark.extra_info["cpu"] = cpu and cpu.middle
    if peer in result.wires:
        wire = result.wires[peer]
        benchmark.extra_info["flights"] = wire.flights
        benchmark.extra_info["bytes"] = wire.bytes_sent + wire.bytes_received
