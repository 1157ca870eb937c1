# SPDX-License-Identifier: MIT
"""The guided tour: ``python -m examples.demo``, or ``make demo``.

Needs the extras ``binary``, ``pool``, ``retry``, ``embedded`` and ``demo``. With DATABASE_URL set
it uses that server. Exits with 1 when anything is not as it tells.
"""

from __future__ import annotations

import sys

import psycopg

from batchq import run
from examples.datastore.models import NewSilo
from examples.datastore.silo import silo_create
from examples.demo.compare import compare
from examples.demo.database import demo_database
from examples.demo.delete import delete
from examples.demo.drain import drain
from examples.demo.fail import fail
from examples.demo.look import look
from examples.demo.race import race
from examples.demo.telling import NotAsTold, console


def main() -> None:
    """Play the six acts."""
    with demo_database() as (conninfo, where):
        with psycopg.connect(conninfo, autocommit=True) as conn:
            version = conn.info.parameter_status("server_version")
            console.print(f"[bold]batchq[/] on PostgreSQL {version}: {where}")
            silo = NewSilo(name="acme")
            run(conn, silo_create(silo, projects=100))
            look(conn, silo)
            fail(conn, silo)
            delete(conn, silo)
        race(conninfo)
        compare(conninfo, silo)
        drain(conninfo, silo)
    console.print("\n[green]Everything was as told.[/]")


if __name__ == "__main__":
    try:
        main()
    except NotAsTold as error:
        sys.exit(f"not as told: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
