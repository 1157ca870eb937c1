# SPDX-License-Identifier: MIT
"""batchq.bulk: delete the rules of a VPC in chunks, as its children or by a condition."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from uuid import UUID

from batchq import run
from batchq.bulk import Budget, ChunkSize, DeleteRows, resume, start
from benchmarks.peers import Connection, OnPsycopg, Peer
from benchmarks.peers.psycopg3 import Autocommit
from examples.datastore.errors import NotFound
from examples.datastore.vpc_delete import TREE

if TYPE_CHECKING:
    from benchmarks.workloads import Workload

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
