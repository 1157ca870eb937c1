# SPDX-License-Identifier: MIT
"""The process that compare.py starts for each side: it creates projects on request.

It imports the batchq and the example of the checkout that is on the path, and uses only names that
no commit has changed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from runpy import run_path

import psycopg

from batchq import run
from examples.datastore.models import NewProject, NewSilo
from examples.datastore.project import project_create
from examples.datastore.schema import create_tables
from examples.datastore.silo import silo_create

# By its path: the checkout that is measured may have no such file, or another one.
_timed = run_path(str(Path(__file__).with_name("interleave.py")))["timed"]


def main(side: str, conninfo: str) -> None:
    """Take the numbers of the calls, a range a line; answer with the cost of one, wall and CPU."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        create_tables(conn)
        silo = NewSilo(name="silo")
        run(conn, silo_create(silo, projects=1_000_000_000))
        is_bare = side.startswith("bare")
        create = _bare(conn) if is_bare else lambda new: run(conn, project_create(new))

        def work(numbers: range) -> None:
            for number in numbers:
                create(NewProject(silo_id=silo.id, name=f"project-{number}"))

        for line in sys.stdin:
            cost = _timed(work, range(*map(int, line.split())))
            print(cost.wall, cost.cpu, flush=True)


def _bare(conn: psycopg.Connection[tuple[object, ...]]) -> Callable[[NewProject], object]:
    # Here, because an old checkout does not have them.
    from benchmarks.peers.bare import Bare  # noqa: PLC0415
    from benchmarks.workloads.projects import PROJECT_CREATE  # noqa: PLC0415

    return partial(Bare(PROJECT_CREATE).call, conn)


if __name__ == "__main__":
    main(*sys.argv[1:])
