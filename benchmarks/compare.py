# SPDX-License-Identifier: MIT
"""Compare project_create of two checkouts of batchq, beside the bare pipeline of this one.

Each checkout runs in a worker process with its own batchq and its own example, so that names may
differ between the two; the workers take turns, as all sides do. A checkout of another commit is
made by ``git worktree add PATH COMMIT``. A table of each run, and one of the medians of all::

    python -m benchmarks.compare PATH [RUNS]
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, cast

import psycopg
from psycopg.conninfo import make_conninfo

from batchq.testing import server
from benchmarks.interleave import WARM_UP, Cost, Samples, Turn, interleave
from benchmarks.report import BASELINE, show
from benchmarks.results import Result
from benchmarks.sandbox import SETTINGS

HERE = Path(__file__).parent.parent
OLD, NEW, BARE = "old", "new", BASELINE
_RUNS, _ROUNDS, _CALLS = 5, 60, 40


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
            return Cost(*map(float, answers.readline().split()))

        with requests:  # it ends with its standard input
            yield turn


def measured(old: Path) -> Samples:
    """Let the workers take turns on a new server, each in a schema of its own."""
    with server(settings=SETTINGS) as postgres, ExitStack() as stack:
        turns: dict[str, Turn] = {}
        for side, checkout in ((OLD, old), (NEW, HERE), (BARE, HERE)):
            with psycopg.connect(postgres.conninfo(), autocommit=True) as conn:
                conn.execute(f"CREATE SCHEMA side_{len(turns)}".encode())
            options = f"-csearch_path=side_{len(turns)}"
            conninfo = make_conninfo(postgres.conninfo(), options=options)
            turns[side] = stack.enter_context(worker(checkout, side, conninfo))
            turns[side](range(2 * WARM_UP))
        return interleave(turns, rounds=_ROUNDS, calls=_CALLS, first=2 * WARM_UP)


def main(old: Path, times: int = _RUNS) -> None:
    """Measure and print: each run, and the medians of all."""
    runs: list[Result] = []
    for _ in range(times):
        runs.append(Result("project_create", {}, measured(old)))
        show(runs[-1:])
    show(runs)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), *map(int, sys.argv[2:]))
