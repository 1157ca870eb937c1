# SPDX-License-Identifier: MIT
"""A depot: it keeps copies of artifacts, and the newest state of the set that it was asked by.

Each request names its basis, which is kept in the same transaction as what the request does. So a
depot never does what an older state of the set asks for, however late the request arrives. To list
the copies is a request as well: after it no older one is done, so what the list names stays until a
newer state of the set does not want it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeVar

from attrs import frozen
from psycopg import Connection
from psycopg_pool import ConnectionPool

from batchq import Batch, Violation, delete, gather, insert, insert_or_advance, run, select
from batchq.types import Advanced
from examples.replication.basis import Basis
from examples.replication.errors import UNAVAILABLE, Conflict, NoCopy, Stale, Unreachable
from examples.replication.wanted import Artifact

T = TypeVar("T")


def ledger_advance(depot: str, basis: Basis) -> Batch[Advanced]:
    """Keep the basis of a request: an older one is refused, an equal one must be the same set."""

    def stale(violation: Violation) -> Stale:
        return Stale(depot, basis.generation, violation.row["generation"])

    return insert_or_advance(
        "depot_ledger",
        {"depot": depot, "generation": basis.generation, "digest": basis.digest},
        key=["depot"],
        version="generation",
        stale=stale,
        raises=Conflict(depot, basis.generation),
    ).label("ledger")


def copies_list(depot: str) -> Batch[frozenset[str]]:
    """Read which artifacts a depot has."""
    copies = select("depot_copy", where={"depot": depot}).all(Artifact)
    return copies.map(lambda rows: frozenset(row.sha256 for row in rows))


def copy_insert(depot: str, sha256: str) -> Batch[None]:
    """Keep a copy, or the one that is there already."""
    return insert("depot_copy", {"depot": depot, "sha256": sha256}).on_conflict_do_nothing()


def copy_from(depot: str, sha256: str, source: str) -> Batch[None]:
    """Keep a copy of what another depot has."""
    there = select("depot_copy", where={"depot": source, "sha256": sha256})
    no_copy = NoCopy(f"{source} has no {sha256}")
    return gather(there.expect(1, missing=no_copy), copy_insert(depot, sha256)).map(_nothing)


def copy_delete(depot: str, sha256: str) -> Batch[None]:
    """Delete a copy, if there is one."""
    return delete("depot_copy", where={"depot": depot, "sha256": sha256})


@frozen
class Depot:
    """A depot, as those who send requests to it see it.

    Requests are safe to repeat, so an answer that is lost is not looked for.
    """

    name: str
    database: ConnectionPool[Any] | Connection[Any]
    deadline: timedelta = timedelta(seconds=10)
    """A depot that does not answer within this time is silent."""

    def listing(self, basis: Basis) -> frozenset[str]:
        """List the copies."""
        return self._ask(basis, copies_list(self.name))

    def put(self, basis: Basis, sha256: str) -> None:
        """Send an artifact that the sender has."""
        self._ask(basis, copy_insert(self.name, sha256))

    def copy(self, basis: Basis, sha256: str, source: str) -> None:
        """Have the depot fetch an artifact from another depot."""
        self._ask(basis, copy_from(self.name, sha256, source))

    def delete(self, basis: Basis, sha256: str) -> None:
        """Delete an artifact that is not wanted."""
        self._ask(basis, copy_delete(self.name, sha256))

    def _ask(self, basis: Basis, request: Batch[T]) -> T:
        batch = gather(ledger_advance(self.name, basis), request).map(lambda both: both[1])
        try:
            return run(self.database, batch, deadline=self.deadline)
        except UNAVAILABLE as error:
            raise Unreachable(self.name) from error


def _nothing(_: object) -> None:
    return None
