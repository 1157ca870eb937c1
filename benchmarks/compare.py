# SPDX-License-Identifier: MIT
"""Compare project_create of two checkouts of batchq, beside the bare pipeline of this one.

Each checkout runs in a worker process with its own batchq and its own example, so that names may
differ between the two; the workers take turns, as all sides do. A checkout of another commit is
made by ``git worktree add PATH COMMIT``. One line a run, and the median and spread of all runs::

    python -m benchmarks.compare PATH [--runs 5] [--rounds 60] [--calls 40]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import IO

import psycopg
from attrs import field, frozen
from psycopg.conninfo import make_conninfo

from batchq.testing import server
from benchmarks.interleave import WARM_UP, Cost, Samples, interleave

HERE = Path(__file__).parent.parent
OLD, NEW, BARE = "old", "new", "bare"
_SETTINGS: dict[str, str | int] = {"synchronous_commit": "off", "autovacuum": "off"}


@frozen
class Worker:
    """A process that has connected, and the costs of its turns by its own clocks."""

    _requests: IO[str]
    _answers: IO[str]
    turns: list[Cost] = field(factory=list[Cost])

    def __call__(self, numbers: range) -> None:
        """Let it make the calls of these numbers."""
        print(numbers.start, numbers.stop, file=self._requests, flush=True)
        wall, cpu = map(float, self._answers.readline().split())
        self.turns.append(Cost(wall / len(numbers), cpu / len(numbers)))


@contextmanager
def worker(checkout: Path, side: str, conninfo: str) -> Iterator[Worker]:
    """Start a worker of a checkout; it ends with its standard input."""
    # By its path: the other checkout may have no such file, or another one.
    script = Path(__file__).with_name("compare_worker.py")
    command = [sys.executable, "-P", str(script), side, conninfo]
    with subprocess.Popen(  # noqa: S603  our own
        command,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        requests, answers = process.stdin, process.stdout
        if requests is None or answers is None:
            raise RuntimeError("started without pipes")
        with requests:
            yield Worker(requests, answers)


def measured(old: Path, *, rounds: int, calls: int) -> dict[str, Samples]:
    """Let the workers take turns on a new server, each in a schema of its own.

    :return: the time on the wall and that of the worker's CPU.
    """
    with server(settings=_SETTINGS) as postgres, ExitStack() as stack:
        sides: dict[str, Worker] = {}
        for side, checkout in ((OLD, old), (NEW, HERE), (BARE, HERE)):
            with psycopg.connect(postgres.conninfo(), autocommit=True) as conn:
                conn.execute(f"CREATE SCHEMA {side}".encode())
            conninfo = make_conninfo(postgres.conninfo(), options=f"-csearch_path={side}")
            sides[side] = stack.enter_context(worker(checkout, side, conninfo))
        interleave(sides, rounds=rounds, calls=calls, warm_up=2 * WARM_UP)
    turns = {side: worker.turns[1:] for side, worker in sides.items()}  # without the warm-up
    cpu = {side: [Cost(cost.cpu or 0.0, None) for cost in own] for side, own in turns.items()}
    return {"wall": Samples(turns), "CPU": Samples(cpu)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Compare two checkouts of batchq.")
    parser.add_argument("checkout", type=Path, help="the old one; the new one is this")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--calls", type=int, default=40)
    options = parser.parse_args()
    ratios: dict[str, list[float]] = defaultdict(list)
    for number in range(options.runs):
        both = measured(options.checkout.resolve(), rounds=options.rounds, calls=options.calls)
        for clock, samples in both.items():
            cells = [f"{side} {samples.wall(side).middle * 1e6:.0f}" for side in samples.costs]
            for side, to in ((OLD, BARE), (NEW, BARE), (NEW, OLD)):
                ratio = samples.ratio(side, to=to).middle
                ratios[f"{clock} {side}/{to}"].append(ratio)
                cells.append(f"{side}/{to} {ratio:.3f}")
            print(f"run {number + 1}, {clock:4} us:", *cells, sep="  ", flush=True)
    for name, own in ratios.items():
        print(f"{name}: median {median(own):.3f}, from {min(own):.3f} to {max(own):.3f}")


if __name__ == "__main__":
    main()
