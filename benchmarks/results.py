# SPDX-License-Identifier: MIT
"""All that a run of the benchmarks has found out, in a file that tables and charts are made of."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg
from attrs import asdict, define, field, frozen

from benchmarks.measure import Cost, Samples
from benchmarks.wire import Wire

Settings = Mapping[str, float | str]
"""Under what a workload was measured: ``{"rtt": 0.001}`` in seconds, ``{"at": "first"}``."""


@frozen
class Result:
    """One workload, measured with all peers that can do it.

    Attributes:
        workload: its name.
        settings: under what.
        samples: the time of each peer.
        wires: what each peer sends for one call; without those that were not counted.
    """

    workload: str
    settings: Settings
    samples: Samples
    wires: Mapping[str, Wire] = field(factory=dict)

    @property
    def title(self) -> str:
        """Such as ``project_create, RTT 1 ms``."""
        return ", ".join([self.workload, *map(_setting, self.settings.items())])


@frozen
class Memory:
    """What a batch takes on top of its parameters, in bytes a statement.

    Attributes:
        statements: in the batch.
        traced: Python's, at the most.
        resident: of the process, libpq's buffers and results included, at the most.
    """

    statements: int
    traced: float
    resident: float


@define
class Results:
    """One run.

    Attributes:
        environment: what it ran on.
        measured: each workload under each setting.
        stages: seconds of CPU a statement, of each workload's peers by stage.
        memory: of batches of several sizes.
    """

    environment: dict[str, str] = field(factory=dict)
    measured: list[Result] = field(factory=list)
    stages: dict[str, dict[str, float]] = field(factory=dict)
    memory: list[Memory] = field(factory=list)

    def find(self, workload: str, settings: Settings) -> Result | None:
        """The one of exactly these settings."""
        for result in self.measured:
            if (result.workload, result.settings) == (workload, settings):
                return result
        return None

    def save(self, path: Path) -> None:
        """Write all of it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read what was written."""
        found = json.loads(path.read_text())
        return cls(
            found["environment"],
            [_result(one) for one in found["measured"]],
            found["stages"],
            [Memory(**one) for one in found["memory"]],
        )


def environment(conninfo: str) -> dict[str, str]:
    """What a run is made on, as far as it changes the figures."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        row = conn.execute(
            "SELECT version(), current_setting('synchronous_commit'), current_setting('fsync')"
        ).fetchone()
        server, synchronous, fsync = row or ("?",) * 3
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return {
        "server": str(server).split(" on ")[0],
        "settings": f"synchronous_commit {synchronous}, fsync {fsync}",
        "Python": platform.python_version(),
        "psycopg": f"{version('psycopg')} ({psycopg.pq.__impl__}), libpq {psycopg.pq.version()}",
        "peers": f"asyncpg {version('asyncpg')}, SQLAlchemy {version('sqlalchemy')}",
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, {platform.system()}",
        "load when begun": f"{load:.1f}",
    }


def _setting(setting: tuple[str, float | str]) -> str:
    name, value = setting
    if name == "rtt":
        return f"RTT {float(value) * 1000:g} ms"
    return f"{name} {value}"


def _result(found: dict[str, Any]) -> Result:
    costs = found["samples"]["costs"]
    return Result(
        found["workload"],
        found["settings"],
        Samples({name: [Cost(**cost) for cost in turns] for name, turns in costs.items()}),
        {name: Wire(**wire) for name, wire in found["wires"].items()},
    )
