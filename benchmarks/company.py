# SPDX-License-Identifier: MIT
"""All peers that can do a workload, each on a scene of its own, at work side by side."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Generic, TypeVar

from attrs import frozen

from batchq.testing import InstallationMissing, proxy
from benchmarks.digest import digest
from benchmarks.measure import Side
from benchmarks.peers.all import PEERS
from benchmarks.scene import Scene, scene
from benchmarks.wire import Wire, count

P = TypeVar("P")

_names = map(f"batchq_bench_{os.getpid()}_{{}}".format, itertools.count())
"""Schemas: whoever else measures on the same server has others."""


@frozen
class Company(Generic[P]):
    """Peers by name, and where each is at work."""

    peers: Mapping[str, P]
    scenes: Mapping[str, Scene]

    def digests(self) -> dict[str, dict[str, tuple[int, str]]]:
        """What is in each one's tables."""
        return {name: digest(scene.conninfo) for name, scene in self.scenes.items()}

    def unlike(self) -> list[str]:
        """Those that have left something else behind than the first one."""
        digests = self.digests()
        first = next(iter(digests.values()))
        return [name for name, seen in digests.items() if seen != first]


@contextmanager
def company(
    conninfo: str, can: Callable[[object], P | None], *, through: str | None = None
) -> Iterator[Company[P]]:
    """Open all peers that can do a workload and are there.

    :param can: the peer, if it has the workload.
    :param through: another way to the server, which the peers are to take.
    """
    with ExitStack() as stack:
        peers: dict[str, P] = {}
        scenes: dict[str, Scene] = {}
        for name, kind in PEERS.items():
            place = stack.enter_context(scene(conninfo, next(_names)))
            try:
                peer = can(stack.enter_context(kind.opened(place.through(through or conninfo))))
            except InstallationMissing:  # pgbench, where there are no programs of PostgreSQL
                continue
            if peer is not None:
                peers[name], scenes[name] = peer, place
        yield Company(peers, scenes)


def wires(
    conninfo: str, can: Callable[[object], P | None], work: Callable[[P], Side]
) -> dict[str, Wire]:
    """Count what each peer sends for one call.

    :param can: the peer, if it has the workload.
    :param work: the method.
    """
    with (
        proxy(conninfo) as link,
        company(conninfo, can, through=link.conninfo()) as all_of_them,
    ):
        return {name: count(link, work(peer)) for name, peer in all_of_them.peers.items()}
