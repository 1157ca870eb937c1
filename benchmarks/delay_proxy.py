# SPDX-License-Identifier: MIT
"""Run the proxy of batchq.testing in a process of its own, so that a server is further away.

In a thread it would take the client's interpreter. What it costs all the same is measured, by
:func:`round_trip`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import IO

import psycopg
from attrs import frozen

from batchq.testing import proxy


@frozen
class DelayProxy:
    """A running process, and how to connect through it."""

    conninfo: str
    _requests: IO[str]
    _answers: IO[str]

    def set_rtt(self, seconds: float) -> None:
        """Set the round trip's time, also for clients that are connected already."""
        print(seconds, file=self._requests, flush=True)
        self._answers.readline()


@contextmanager
def delay_proxy(conninfo: str) -> Iterator[DelayProxy]:
    """Start the process, at first without a delay."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.delay_proxy"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    ) as process:
        requests, answers = process.stdin, process.stdout
        if requests is None or answers is None:
            raise RuntimeError("started without pipes")
        try:
            print(conninfo, file=requests, flush=True)
            yield DelayProxy(answers.readline().strip(), requests, answers)
        finally:
            requests.close()  # it ends with its standard input


def round_trip(conninfo: str, times: int = 30) -> float:
    """Return the median seconds of the smallest statement: one message there and back."""
    taken: list[float] = []
    with psycopg.connect(conninfo, autocommit=True) as conn:
        for _ in range(times):
            begin = perf_counter()
            conn.execute(b"")
            taken.append(perf_counter() - begin)
    return median(taken)


def main() -> None:
    """Be the process: take a conninfo, then one delay a line."""
    with proxy(sys.stdin.readline().strip()) as link:
        print(link.conninfo(), flush=True)
        for line in sys.stdin:
            link.set_rtt(float(line))
            print("set", flush=True)


if __name__ == "__main__":
    main()
