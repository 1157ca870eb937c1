# SPDX-License-Identifier: MIT
"""Depots of examples/replication over a network that a test controls."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from hashlib import sha256
from random import Random
from uuid import UUID

import psycopg
from attrs import define, field, frozen

from batchq import run
from examples.replication.depot import Depot, copies_list
from examples.replication.errors import Unreachable
from examples.replication.planning import Limits
from examples.replication.replicator import Replicator
from examples.replication.schema import create_tables
from examples.replication.wanted import artifacts_remove, set_create

SET_ID = UUID(int=7)
LONG = timedelta(days=1)
"""A deadline that no test reaches."""


def artifact(name: object) -> str:
    return sha256(str(name).encode()).hexdigest()


def nothing(_depot: str, _deliver: Callable[[], object]) -> None:
    return None


@define(eq=False)
class Network:
    """What happens to the requests of one replicator before a depot receives them."""

    before: Callable[[str, Callable[[], object]], None] = nothing
    """Called with the depot, and a function that delivers the request."""
    silent: set[str] = field(factory=set)
    asked: list[str] = field(factory=list)


@frozen
class NetworkDepot(Depot):
    """A depot, as one replicator reaches it."""

    network: Network = field(kw_only=True)

    def _ask(self, basis, request):
        self.network.asked.append(self.name)
        self.network.before(self.name, lambda: self.answer(basis, request))
        if self.name in self.network.silent:
            raise Unreachable(self.name)
        return self.answer(basis, request)

    def answer(self, basis, request):
        return Depot._ask(self, basis, request)


class NoLedger(NetworkDepot):
    """A depot that does what it is asked for, by whatever state of the set."""

    def answer(self, _basis, request):
        return run(self.database, request)


class UnguardedListing(NetworkDepot):
    """A depot that is not given the generation with a listing."""

    def listing(self, _basis):
        self.network.asked.append(self.name)
        return run(self.database, copies_list(self.name))


@define(eq=False)
class World:
    """A set of artifacts, its depots, and the replicators that drive them."""

    conn: psycopg.Connection
    names: tuple[str, ...] = ("d0", "d1", "d2")
    depot: type[NetworkDepot] = NetworkDepot
    networks: list[Network] = field(factory=list)

    def __attrs_post_init__(self):
        create_tables(self.conn)
        run(self.conn, set_create(SET_ID))

    def replicator(
        self, *, least: int = 2, seed: int = 0, page: int = 1000, **limits: int
    ) -> Replicator:
        """Return a replicator with a network of its own, which is the last of the networks."""
        self.networks.append(network := Network())
        return Replicator(
            database=self.conn,
            set_id=SET_ID,
            depots=[self.depot(name, self.conn, LONG, network=network) for name in self.names],
            least=least,
            page=page,
            deadline=LONG,
            limits=Limits(**limits),
            random=Random(seed),
        )

    def network(self, replicator: Replicator) -> Network:
        return replicator.depots[0].network

    def remove(self, *artifacts: str) -> None:
        run(self.conn, artifacts_remove(SET_ID, artifacts))

    def copies(self) -> dict[str, set[str]]:
        """Return the artifacts that each depot has."""
        found: dict[str, set[str]] = {name: set() for name in self.names}
        for depot, copy in self.conn.execute("SELECT depot, sha256 FROM depot_copy"):
            found[depot].add(copy)
        return found

    def everywhere(self, artifacts: Iterable[str] = ()) -> dict[str, set[str]]:
        """Return what `copies` returns if each depot has these artifacts."""
        return {name: set(artifacts) for name in self.names}

    def generations(self) -> dict[str, int]:
        """Return the generation that each depot knows."""
        return dict(self.conn.execute("SELECT depot, generation FROM depot_ledger").fetchall())

    def wanted(self) -> set[str]:
        return {row[0] for row in self.conn.execute("SELECT sha256 FROM artifact")}


def once(network: Network, number: int, do: Callable[[], object]) -> None:
    """Call a function just before the request with this number, while its sender waits."""

    def before(_depot: str, _deliver: Callable[[], object]) -> None:
        if len(network.asked) == number:
            do()

    network.before = before


def settle(replicator: Replicator, most: int = 100) -> int:
    """Activate until nothing is planned; return how many activations that took, this one too."""
    for count in range(1, most + 1):
        if not replicator.activate().planned:
            return count
    raise AssertionError("it does not converge")
