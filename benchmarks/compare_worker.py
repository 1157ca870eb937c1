# SPDX-License-Identifier: MIT
"""The process that compare.py starts for each side: it creates projects on request.

It imports the batchq and the example of the checkout that is on the path, and uses only names that
no commit has changed.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from functools import partial
from time import perf_counter, process_time

import psycopg

from batchq import run
from examples.datastore.models import NewProject, NewSilo
from examples.datastore.project import project_create
from examples.datastore.schema import create_tables
from examples.datastore.silo import silo_create


def main(side: str, conninfo: str) -> None:
    """Take the numbers of the calls, a range a line; answer with the seconds, wall and CPU."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        create_tables(conn)
        silo = NewSilo(name="silo")
        run(conn, silo_create(silo, projects=1_000_000_000))
        create = _bare(conn) if side == "bare" else lambda new: run(conn, project_create(new))
        for line in sys.stdin:
            gc.collect()
            gc.disable()
            wall, cpu = perf_counter(), process_time()
            for number in range(*map(int, line.split())):
                create(NewProject(silo_id=silo.id, name=f"project-{number}"))
            print(perf_counter() - wall, process_time() - cpu, flush=True)
            gc.enable()


def _bare(conn: psycopg.Connection[tuple[object, ...]]) -> Callable[[NewProject], object]:
    # Here, because an old checkout does not have them.
    from benchmarks.peers.bare import Bare  # noqa: PLC0415
    from benchmarks.workloads.projects import PROJECT_CREATE  # noqa: PLC0415

    return partial(Bare(PROJECT_CREATE).call, conn)


if __name__ == "__main__":
    main(*sys.argv[1:])
