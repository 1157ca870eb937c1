# SPDX-License-Identifier: MIT
"""Hand to pytest-benchmark what was measured already, and read it back from its JSON.

pytest-benchmark runs one side after the other, and so compares the machine's moods as well. So the
sides are measured in turns, and each test then replays its side's samples by a clock that shows
them: table, JSON, ``--benchmark-compare`` and ``--benchmark-autosave`` are pytest-benchmark's own.
The JSON is the result file, which report and charts are made of.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from attrs import asdict, field, frozen

from benchmarks.interleave import Cost, Samples
from benchmarks.wire import Wire

Settings = Mapping[str, float | str]
"""The conditions of a measurement: ``{"rtt": 0.001}`` in seconds, ``{"at": "first"}``."""


@frozen(eq=False)
class Conditions:
    """What is measured, and how."""

    workload: str
    settings: Settings

    @property
    def title(self) -> str:
        """Return a title such as ``project_create, RTT 1 ms``."""
        texts = {name: f"{name} {value}" for name, value in self.settings.items()}
        if "rtt" in self.settings:
            texts["rtt"] = f"RTT {float(self.settings['rtt']) * 1000:g} ms"
        return ", ".join([self.workload, *texts.values()])


@frozen
class Result(Conditions):
    """One workload, measured with all its peers under the same conditions.

    Attributes:
        wires: what each peer sends for one call; without the peers that were not counted.
        different: peers that left other rows than the first one with the same workload.
    """

    samples: Samples
    wires: Mapping[str, Wire] = field(factory=dict)
    different: tuple[str, ...] = ()


def replay(request: pytest.FixtureRequest, result: Result, peer: str) -> None:
    """Report a peer's samples as the benchmark of this test."""
    costs = result.samples.costs[peer]
    # pytest-benchmark reads the clock before and after each round.
    clock = chain.from_iterable((0.0, cost.wall) for cost in costs)
    request.node.add_marker(pytest.mark.benchmark(timer=clock.__next__, group=result.title))
    benchmark: Any = request.getfixturevalue("benchmark")
    benchmark.pedantic(lambda: None, rounds=len(costs), iterations=1)
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
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for benchmark in found["benchmarks"]:
        groups[benchmark["group"]].append(benchmark["extra_info"])
    return found["machine_info"]["batchq"], [_result(own) for own in groups.values()]


def _result(peers: list[dict[str, Any]]) -> Result:
    costs = {own["peer"]: [Cost(**cost) for cost in own["costs"]] for own in peers}
    wires = {own["peer"]: Wire(**own["wire"]) for own in peers if own["wire"]}
    return Result(peers[0]["workload"], peers[0]["settings"], Samples(costs), wires)
