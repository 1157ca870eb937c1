# SPDX-License-Identifier: MIT
"""Delete the rules of a VPC, which are half of the table, in chunks and by one DELETE.

``python -m benchmarks.bulk [ROWS] [ROUNDS]``. The peers take turns, each time in new tables.
"""

from __future__ import annotations

import math
import sys
from functools import partial
from uuid import UUID

from batchq import run
from batchq.bulk import Budget, ChunkSize, DeleteRows, resume, start
from batchq.testing import server
from benchmarks.interleave import Cost, interleave, timed
from benchmarks.measure import opened
from benchmarks.peers import Connection, OnPsycopg, Peer
from benchmarks.peers.psycopg3 import Autocommit
from benchmarks.report import show
from benchmarks.results import Result
from benchmarks.sandbox import SETTINGS
from benchmarks.workloads import Workload
from benchmarks.workloads.rules import KEYS, deletes
from examples.datastore.errors import NotFound
from examples.datastore.vpc_delete import TREE

_BUDGET = Budget(seconds=math.inf)


class Chunked(OnPsycopg):
    """Delete in chunks of a fixed number of rows, or of as many as batchq.bulk thinks best."""

    def __init__(self, workload: Workload, rows: int | None = None) -> None:
        super().__init__(workload, f"chunks of {rows:,}" if rows else "adaptive chunks")
        fixed = {} if rows is None else {"minimum": rows, "initial": rows, "maximum": rows}
        self._size = ChunkSize(**fixed)

    def call(self, conn: Connection, vpc_id: UUID) -> object:
        """Delete the rules, and after them the VPC."""
        start(conn, TREE, vpc_id, missing=NotFound("vpc", vpc_id))
        return resume(conn, [TREE], owner="benchmark", budget=_BUDGET, chunk_size=self._size)


class ByCondition(OnPsycopg):
    """Delete the rules by a condition, without their VPC."""

    name = "DeleteRows"

    def call(self, conn: Connection, vpc_id: UUID) -> object:
        """Delete the rules."""
        rules = DeleteRows(name="rules", table="vpc_firewall_rule", where={"vpc_id": vpc_id})
        run(conn, rules.start())
        return resume(conn, [rules], owner="benchmark", budget=_BUDGET)


def deleting(workload: Workload) -> list[Peer]:
    """Return one DELETE, which the others are compared with, and the ways of batchq.bulk."""
    chunked = [Chunked(workload, rows) for rows in (1_000, 10_000, None)]
    return [Autocommit(workload, "one DELETE"), *chunked, ByCondition(workload)]


def _turn(conninfo: str, peer: Peer, _: range) -> Cost:
    with opened(conninfo, [peer], 1) as (side,):
        return timed(side.work, range(1))


def main(rows: int = 20_000, rounds: int = 3) -> None:
    """Measure and print."""
    with server(settings=SETTINGS) as postgres:
        for keys in KEYS:
            peers = deleting(deletes(keys, rows))
            turns = {peer.name: partial(_turn, postgres.conninfo(), peer) for peer in peers}
            samples = interleave(turns, rounds=rounds, calls=1)
            show([Result("bulk delete of half a table", {"keys": keys, "rows": rows}, samples)])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
