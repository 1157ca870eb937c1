# SPDX-License-Identifier: MIT
"""Processes that all take from the same counter at once, each on a connection of its own.

They are not threads, which would also wait for each other's Python. In a service, callers who want
the same row are mostly in other processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection as Pipe
from typing import Any

from benchmarks.peers import Driver, Peer
from benchmarks.peers.bare import Bare
from benchmarks.peers.batchq import Batchq
from benchmarks.peers.psycopg3 import Autocommit, Transaction
from benchmarks.processes import process
from benchmarks.workloads.projects import CHARGE, CHARGE_IF_ROOM

CHARGES: Mapping[str, Peer] = {
    peer.name: peer
    for peer in (Batchq(CHARGE), Bare(CHARGE), Autocommit(CHARGE), Transaction(CHARGE_IF_ROOM))
}
"""The ways to take one from a counter."""


class InProcesses(Peer):
    """One of the ways, in so many processes."""

    def __init__(self, name: str, processes: int) -> None:
        super().__init__(CHARGES[name].workload, name)
        self._processes = processes

    @contextmanager
    def open(self, conninfo: str) -> Iterator[Driver]:
        """Start the processes."""
        with ExitStack() as stack:
            starts = [process(_work, self.name, conninfo) for _ in range(self._processes)]
            pipes: list[Pipe[Any, Any]] = [stack.enter_context(start) for start in starts]

            def wait() -> list[object]:
                return [pipe.recv() for pipe in pipes]

            def drive(inputs: Sequence[Any]) -> list[object]:
                for number, pipe in enumerate(pipes):
                    pipe.send(inputs[number :: len(pipes)])
                return wait()

            wait()
            yield drive


def _work(name: str, conninfo: str, pipe: Pipe[Any, Any]) -> None:
    with CHARGES[name].open(conninfo) as drive:
        while True:
            pipe.send(None)  # it is ready
            drive(pipe.recv())
