# SPDX-License-Identifier: MIT
"""The process that compare.py starts for each checkout: it creates projects on request.

It imports the batchq and the example of the checkout that is on the path, and uses only names that
no commit has changed.
"""

from __future__ import annotations

import sys
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


def main(conninfo: str) -> None:
    """Take the numbers of the calls, a range a line; answer with the cost of one, wall and CPU."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        create_tables(conn)
        silo = NewSilo(name="silo")
        run(conn, silo_create(silo, projects=1_000_000_000))

        def work(numbers: range) -> None:
            for number in numbers:
                run(conn, project_create(NewProject(silo_id=silo.id, name=f"project-{number}")))

        for line in sys.stdin:
            cost = _timed(work, range(*map(int, line.split())))
            print(cost.wall, cost.cpu, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
