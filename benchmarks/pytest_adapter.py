# SPDX-License-Identifier: MIT
"""Hand to pytest-benchmark what was measured already, and read it back from its JSON.

pytest-benchmark runs one side after the other, and so compares the machine's moods as well. So the
sides are measured in turns, and each test then replays its side's samples by a clock that shows
them: table, JSON, ``--benchmark-compare`` and ``--benchmark-autosave`` are pytest-benchmark's own.
The JSON is the result file, which report and charts are made of.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import asdict, define

from benchmarks.interleave import Cost, Samples
from benchmarks.measure import Result
from benchmarks.wire import Wire

ENVIRONMENT: dict[str, str] = {}
"""What the figures of this run depend on, written to the JSON."""


@define(eq=False)
class _Clock:
    """A clock that advances by one sample a tick."""

    samples: Iterator[float]
    now: float = 0.0

    def time(self) -> float:
        return self.now

    def tick(self) -> None:
        self.now += next(self.samples)


def replay(request: pytest.FixtureRequest, result: Result, peer: str) -> None:
    """Report a peer's samples as the benchmark of this test."""
    costs = result.samples.costs[peer]
    clock = _Clock(cost.wall for cost in costs)
    request.node.add_marker(pytest.mark.benchmark(timer=clock.time, group=result.title))
    benchmark: Any = request.getfixturevalue("benchmark")
    benchmark.pedantic(clock.tick, rounds=len(costs), iterations=1)
    benchmark.extra_info.update(
        workload=result.workload,
        settings=dict(result.settings),
        peer=peer,
        costs=[asdict(cost) for cost in costs],
        wire=asdict(result.wires[peer]) if peer in result.wires else None,
    )


def load(path: Path) -> tuple[dict[str, str], list[Result]]:
    """Read the environment and the results of a run."""
    found = json.loads(path.read_text())
    peers: dict[str, dict[str, dict[str, Any]]] = {}
    for benchmark in found["benchmarks"]:
        info = benchmark["extra_info"]
        peers.setdefault(benchmark["group"], {})[info["peer"]] = info
    return found["machine_info"]["batchq"], [_result(own) for own in peers.values()]


def _result(peers: dict[str, dict[str, Any]]) -> Result:
    first = next(iter(peers.values()))
    costs = {name: [Cost(**cost) for cost in info["costs"]] for name, info in peers.items()}
    wires = {name: Wire(**info["wire"]) for name, info in peers.items() if info["wire"]}
    return Result(first["workload"], first["settings"], Samples(costs), wires)
