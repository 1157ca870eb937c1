# SPDX-License-Identifier: MIT
"""batchq: from what a caller says to the rows as models. Each form of a workload is a peer."""

from __future__ import annotations

from typing import Any

from psycopg_pool import AsyncConnectionPool

from batchq import arun, run
from benchmarks.peers import AsyncConnection, Connection, OnPsycopg
from benchmarks.workloads import DECLARED, Workload


class Batchq(OnPsycopg):
    """Make a batch in one form, send, attribute and decode."""

    def __init__(self, workload: Workload, name: str = "", *, form: str = DECLARED) -> None:
        super().__init__(workload, name or form)
        self.batch = workload.batches[form]

    def call(self, conn: Connection, given: Any) -> object:
        """Run the batch."""
        return run(conn, self.batch(given))

    async def pooled(self, pool: AsyncConnectionPool[AsyncConnection], given: Any) -> object:
        """Run the batch on the pool itself."""
        return await arun(pool, self.batch(given))


def forms(workload: Workload, *, suffix: str = "") -> list[Batchq]:
    """Return a peer for each form in which the workload is written.

    :param suffix: of their names, if a case has the same forms of another workload.
    """
    return [Batchq(workload, form + suffix, form=form) for form in workload.batches]
