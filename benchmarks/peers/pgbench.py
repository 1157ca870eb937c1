# SPDX-License-Identifier: MIT
"""pgbench's pipeline, prepared (pgbench.sql): a client in C that makes nothing of the answers.

https://www.postgresql.org/docs/18/pgbench.html. It is the floor: what is left is the server and the
way there. It reads no values, makes no models and cannot go on after an error.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import ClassVar, Self

from batchq.testing import InstallationMissing, installations
from benchmarks.scene import Scene

SCRIPT = Path(__file__).with_suffix(".sql")

_UNCOUNTED = 10
"""Transactions at the beginning of a run, which prepare and plan; at most half of all."""


class Pgbench:
    """Runs the program, and reads its log of transactions."""

    name: ClassVar[str] = "pgbench pipeline"

    def __init__(self, scene: Scene, program: Path) -> None:
        self._scene = scene
        self._program = program

    @classmethod
    @contextmanager
    def opened(cls, scene: Scene) -> Iterator[Self]:
        """Find the program of the newest installation.

        :raises InstallationMissing: when there is none.
        """
        found = [path / "pgbench" for path in installations().values()]
        program = next((path for path in found if path.exists()), None)
        if program is None:
            raise InstallationMissing("no pgbench is installed")
        yield cls(scene, program)

    def project_create(self, numbers: range) -> float:
        """Create the projects of these numbers."""
        with TemporaryDirectory() as directory:
            self._run(numbers, Path(directory, "log"))
            (log,) = Path(directory).iterdir()
            # client_id transaction_no time script_no time_epoch time_us; the time in microseconds
            times = [int(line.split()[2]) for line in log.read_text().splitlines()]
        return mean(times[min(_UNCOUNTED, len(times) // 2) :]) / 1e6

    def _run(self, numbers: range, log: Path) -> None:
        command: list[str | Path] = [
            *(self._program, "--no-vacuum", "--protocol=prepared", f"--file={SCRIPT}"),
            *(f"--transactions={len(numbers)}", "--log", f"--log-prefix={log}"),
            *(f"--define=number={numbers.start - 1}", f"--define=silo={self._scene.silo}"),
            self._scene.conninfo,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  ours
        if done.returncode:
            raise RuntimeError(f"pgbench failed:\n{done.stderr}")
