# SPDX-License-Identifier: MIT
"""batchq.bulk: start the delete of a VPC, and resume it until all its rules are deleted."""

from __future__ import annotations

import math
from uuid import UUID

from batchq.bulk import Budget, ChunkSize, resume, start
from benchmarks.peers import Connection, OnPsycopg, Peer
from benchmarks.peers.psycopg3 import Autocommit
from benchmarks.workloads import Workload
from examples.datastore.errors import NotFound
from examples.datastore.vpc_delete import TREE


class Chunked(OnPsycopg):
    """Delete in chunks of a fixed number of rows, or of as many as batchq.bulk thinks best."""

    def __init__(self, workload: Workload, rows: int | None = None) -> None:
        super().__init__(workload, f"chunks of {rows:,}" if rows else "adaptive chunks")
        fixed = {} if rows is None else {"minimum": rows, "initial": rows, "maximum": rows}
        self._size = ChunkSize(**fixed)

    def call(self, conn: Connection, vpc_id: UUID) -> object:
        """Delete the rules, and after them the VPC."""
        start(conn, TREE, vpc_id, missing=NotFound("vpc", vpc_id))
        budget = Budget(seconds=math.inf)
        return resume(conn, [TREE], owner="benchmark", budget=budget, chunk_size=self._size)


def deleting(workload: Workload) -> list[Peer]:
    """Return one DELETE, which the others are compared with, and chunks of several sizes."""
    chunked = [Chunked(workload, rows) for rows in (1_000, 10_000, None)]
    return [Autocommit(workload, "one DELETE"), *chunked]
