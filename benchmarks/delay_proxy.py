# SPDX-License-Identifier: MIT
"""Run the proxy of batchq.testing in a process of its own, so that a server is further away.

What it costs all the same is measured, by :func:`round_trip`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from statistics import median
from time import perf_counter
from typing import Any

import psycopg
from attrs import frozen

from batchq.testing import proxy
from benchmarks.processes import process


@frozen
class DelayProxy:
    """A running process, and how to connect through it."""

    conninfo: str
    _pipe: Pipe[Any, Any]

    def set_rtt(self, seconds: float) -> None:
        """Set the round trip's time, also for clients that are connected already."""
        self._pipe.send(seconds)
        self._pipe.recv()


@contextmanager
def delay_proxy(conninfo: str) -> Iterator[DelayProxy]:
    """Start the process, at first without a delay."""
    with process(_serve, conninfo) as pipe:
        yield DelayProxy(pipe.recv(), pipe)


def _serve(conninfo: str, pipe: Pipe[Any, Any]) -> None:
    with proxy(conninfo) as link:
        pipe.send(link.conninfo())
        while True:
            link.set_rtt(pipe.recv())
            pipe.send("set")


def round_trip(conninfo: str, times: int = 30) -> float:
    """Return the median seconds of the smallest statement: one message there and back."""
    taken: list[float] = []
    with psycopg.connect(conninfo, autocommit=True) as conn:
        for _ in range(times):
            begin = perf_counter()
            conn.execute(b"")
            taken.append(perf_counter() - begin)
    return median(taken)
