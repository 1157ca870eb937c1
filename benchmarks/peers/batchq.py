# SPDX-License-Identifier: MIT
"""batchq: the example's own function, from what a caller says to the rows as models."""

from __future__ import annotations

from typing import Any, ClassVar

from psycopg_pool import AsyncConnectionPool, ConnectionPool

from batchq import arun, run
from benchmarks.peers import Connection, OnPsycopg


class Batchq(OnPsycopg):
    """Build, compose, send, attribute and decode."""

    name: ClassVar[str] = "batchq"

    def call(self, conn: Connection, given: Any) -> object:
        """Run the batch."""
        return run(conn, self.workload.batch(given))

    def pooled(self, pool: ConnectionPool[Connection], given: Any) -> object:
        """Run the batch on the pool itself."""
        return run(pool, self.workload.batch(given))

    async def apooled(self, pool: AsyncConnectionPool[Any], given: Any) -> object:
        """Run the batch on an async pool."""
        return await arun(pool, self.workload.batch(given))
