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
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import IO

import psycopg
from attrs import frozen
from psycopg.conninfo import make_conninfo

from batchq.testing import server
from benchmarks.interleave import WARM_UP, Samples, interleave

HERE = Path(__file__).parent.parent
OLD, NEW, BARE = "old", "new", "bare"
_SETTINGS: dict[str, str | int] = {"synchronous_commit": "off", "autovacuum": "off"}


@frozen
class Worker:
    """A process that has connected."""

    _requests: IO[str]
    _answers: IO[str]

    def __call__(self, numbers: range) -> None:
        """Let it make the calls of these numbers."""
        print(numbers.start, numbers.stop, file=self._requests, flush=True)
        if self._answers.readline() != "done\n":
            raise RuntimeError("a worker has failed")


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


def measured(old: Path, *, rounds: int, calls: int) -> Samples:
    """Let the workers take turns on a new server, each in a schema of its own."""
    with server(settings=_SETTINGS) as postgres, ExitStack() as stack:
        sides: dict[str, Worker] = {}
        for side, checkout in ((OLD, old), (NEW, HERE), (BARE, HERE)):
            with psycopg.connect(postgres.conninfo(), autocommit=True) as conn:
                conn.execute(f"CREATE SCHEMA {side}".encode())
            conninfo = make_conninfo(postgres.conninfo(), options=f"-csearch_path={side}")
            sides[side] = stack.enter_context(worker(checkout, side, conninfo))
        return interleave(sides, rounds=rounds, calls=calls, warm_up=2 * WARM_UP)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Compare two checkouts of batchq.")
    parser.add_argument("checkout", type=Path, help="the old one; the new one is this")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--calls", type=int, default=40)
    options = parser.parse_args()
    pairs = ((OLD, BARE), (NEW, BARE), (NEW, OLD))
    ratios: dict[tuple[str, str], list[float]] = {pair: [] for pair in pairs}
    for number in range(options.runs):
        samples = measured(options.checkout.resolve(), rounds=options.rounds, calls=options.calls)
        for side, to in pairs:
            ratios[side, to].append(samples.ratio(side, to=to).middle)
        print(
            f"run {number + 1}:",
            *[f"{side} {samples.wall(side).middle * 1e6:.0f} us" for side in (OLD, NEW, BARE)],
            *[f"{side}/{to} {ratios[side, to][-1]:.3f}" for side, to in pairs],
            sep="  ",
            flush=True,
        )
    for (side, to), own in ratios.items():
        print(f"{side}/{to}: median {median(own):.3f}, from {min(own):.3f} to {max(own):.3f}")


if __name__ == "__main__":
    main()
