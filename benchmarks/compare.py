# SPDX-License-Identifier: MIT
"""Compare project_create of two checkouts of batchq, beside the bare pipeline of this one.

Each checkout runs in a worker process with its own batchq and its own example, so that names may
differ between the two; the workers take turns, as all sides do. A checkout of another commit is
made by ``git worktree add PATH COMMIT``. One line a run, and the median and spread of all runs::

    python -m benchmarks.compare PATH [RUNS]
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import IO, cast

import psycopg
from psycopg.conninfo import make_conninfo

from batchq.testing import server
from benchmarks.interleave import WARM_UP, Clock, Cost, Samples, Turn, interleave
from benchmarks.sandbox import SETTINGS

HERE = Path(__file__).parent.parent
OLD, NEW, BARE = "old", "new", "bare"
_RUNS, _ROUNDS, _CALLS = 5, 60, 40
_CLOCKS: tuple[Clock, ...] = ("wall", "cpu")


@contextmanager
def worker(checkout: Path, side: str, conninfo: str) -> Iterator[Turn]:
    """Start a worker of a checkout, which times its turns by its own clocks."""
    # By its path: the other checkout may have no such file, or another one.
    script = Path(__file__).with_name("compare_worker.py")
    with subprocess.Popen(  # noqa: S603  our own
        [sys.executable, "-P", str(script), side, conninfo],
        env={**os.environ, "PYTHONPATH": str(checkout)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        requests, answers = cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)

        def turn(numbers: range) -> Cost:
            print(numbers.start, numbers.stop, file=requests, flush=True)
            wall, cpu = map(float, answers.readline().split())
            return Cost(wall / len(numbers), cpu / len(numbers))

        with requests:  # it ends with its standard input
            yield turn


def measured(old: Path) -> Samples:
    """Let the workers take turns on a new server, each in a schema of its own."""
    with server(settings=SETTINGS) as postgres, ExitStack() as stack:
        turns: dict[str, Turn] = {}
        for side, checkout in ((OLD, old), (NEW, HERE), (BARE, HERE)):
            with psycopg.connect(postgres.conninfo(), autocommit=True) as conn:
                conn.execute(f"CREATE SCHEMA {side}".encode())
            conninfo = make_conninfo(postgres.conninfo(), options=f"-csearch_path={side}")
            turns[side] = stack.enter_context(worker(checkout, side, conninfo))
            turns[side](range(2 * WARM_UP))
        return interleave(turns, rounds=_ROUNDS, calls=_CALLS, first=2 * WARM_UP)


def main(old: Path, runs: int = _RUNS) -> None:
    """Measure and print."""
    ratios: dict[str, list[float]] = defaultdict(list)
    for number in range(runs):
        samples = measured(old)
        for clock in _CLOCKS:
            spreads = {side: samples.spread(side, clock) for side in samples.costs}
            cells = [f"{side} {spread.middle * 1e6:.0f}" for side, spread in spreads.items()]
            for side, to in ((OLD, BARE), (NEW, BARE), (NEW, OLD)):
                ratio = samples.ratio(side, to=to, clock=clock)
                ratios[f"{clock} {side}/{to}"].append(ratio.middle)
                cells.append(f"{side}/{to} {ratio.middle:.3f} (10 %: {ratio.low:.3f})")
            print(f"run {number + 1}, {clock:4} us:", *cells, sep="  ", flush=True)
    for name, own in ratios.items():
        print(f"{name}: median {median(own):.3f}, from {min(own):.3f} to {max(own):.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), *map(int, sys.argv[2:]))
