# SPDX-License-Identifier: MIT
"""Guided tour: ``python -m examples.demo``, or ``make demo``.

Needs the extras ``binary``, ``pool``, ``retry``, ``embedded`` and ``demo``. If DATABASE_URL is
set it uses that server. Exits with 1 if any result differs from what it prints.
"""

from __future__ import annotations

import sys

import psycopg

from batchq import run
from examples.datastore.models import NewSilo
from examples.datastore.silo import silo_create
from examples.demo.bulk_delete import bulk_delete
from examples.demo.compare_round_trips import compare_round_trips
from examples.demo.console import DemoCheckFailed, console
from examples.demo.database import demo_database
from examples.demo.delete_project import delete_project
from examples.demo.failure_cases import failure_cases
from examples.demo.inspect_batch import inspect_batch
from examples.demo.race_for_limit import race_for_limit
from examples.demo.two_versions import two_versions


def main() -> None:
    """Run the seven acts."""
    with demo_database() as (conninfo, where):
        with psycopg.connect(conninfo, autocommit=True) as conn:
            version = conn.info.parameter_status("server_version")
            console.print(f"[bold]batchq[/] on PostgreSQL {version}: {where}")
            silo = NewSilo(name="acme")
            run(conn, silo_create(silo, projects=100))
            inspect_batch(conn, silo)
            failure_cases(conn, silo)
            delete_project(conn, silo)
        race_for_limit(conninfo)
        compare_round_trips(conninfo, silo)
        bulk_delete(conninfo, silo)
        two_versions(conninfo, silo)
    console.print("\n[green]Every result was as expected.[/]")


if __name__ == "__main__":
    try:
        main()
    except DemoCheckFailed as error:
        sys.exit(f"unexpected result: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
