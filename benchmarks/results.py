# SPDX-License-Identifier: MIT
"""The result of a case, and the file of all results, which report and charts are made of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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


def save(path: Path, environment: Mapping[str, str], results: Sequence[Result]) -> None:
    """Write the environment and the results of a run."""
    found = {"environment": environment, "results": [asdict(result) for result in results]}
    path.write_text(json.dumps(found))


def load(path: Path) -> tuple[dict[str, str], list[Result]]:
    """Read the environment and the results of a run."""
    found = json.loads(path.read_text())
    return found["environment"], [_result(**own) for own in found["results"]]


def _result(samples: Any, wires: Any, different: Any, **conditions: Any) -> Result:
    costs = {name: [Cost(**cost) for cost in own] for name, own in samples["costs"].items()}
    counted = {name: Wire(**wire) for name, wire in wires.items()}
    return Result(**conditions, samples=Samples(costs), wires=counted, different=tuple(different))
