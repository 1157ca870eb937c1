# SPDX-License-Identifier: MIT
"""batchq: from what a caller says to the rows as models. Each form of a workload is a peer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from batchq import arun, run
from batchq.result import Ok, run_many
from benchmarks.peers import AsyncConnection, Connection, Driver, OnPsycopg
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


class InOneFlight(Batchq):
    """Make so many independent batches, and send them in one round trip."""

    def __init__(self, workload: Workload, batches: int, *, form: str = DECLARED) -> None:
        super().__init__(workload, f"run_many of {batches}, {form}", form=form)
        self._batches = batches

    @contextmanager
    def open(self, conninfo: str) -> Iterator[Driver]:
        """Connect."""
        with psycopg.connect(conninfo, autocommit=True) as conn:

            def drive(inputs: Sequence[Any]) -> list[object]:
                results: list[object] = []
                for start in range(0, len(inputs), self._batches):
                    some = inputs[start : start + self._batches]
                    answers = run_many(conn, map(self.batch, some))
                    results += [
                        self.checked(answer.value if isinstance(answer, Ok) else answer.error, own)
                        for answer, own in zip(answers, some, strict=True)
                    ]
                return results

            yield drive


def forms(workload: Workload, *, suffix: str = "") -> list[Batchq]:
    """Return a peer for each form in which the workload is written.

    :param suffix: of their names, if a case has the same forms of another workload.
    """
    return [Batchq(workload, form + suffix, form=form) for form in workload.batches]
