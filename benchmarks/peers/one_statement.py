# SPDX-License-Identifier: MIT
"""project_create as one statement, written by hand: the server has all there is to do at once.

One peer sends a CTE (cte.sql; https://www.postgresql.org/docs/18/queries-with.html: "Data-Modifying
Statements in WITH"), the other one calls a function (plpgsql.sql;
https://www.postgresql.org/docs/18/plpgsql.html), as if the service's logic lived in the database.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import psycopg

from benchmarks.peers import Connection, Driver, OnPsycopg
from benchmarks.workloads.projects import NewProjectInput
from examples.datastore.models import (
    FirewallRule,
    Project,
    ProjectCreated,
    Router,
    Subnet,
    Vpc,
    VpcCreated,
)
from examples.datastore.vpc import DEFAULT_BLOCK

_HERE = Path(__file__).parent
_CALL = (
    b"SELECT * FROM project_create(%(silo_id)s, %(id)s, %(name)s, %(description)s, %(vpc_id)s, "
    b"%(router_id)s, %(subnet_id)s, %(block)s, %(internal_id)s, %(ssh_id)s)"
)


class Cte(OnPsycopg):
    """Send one statement, whose parts take their rows from each other."""

    name: ClassVar[str] = "one CTE"
    text: bytes = (_HERE / "cte.sql").read_bytes()

    def call(self, conn: Connection, given: NewProjectInput) -> ProjectCreated:
        """Run the statement: no row means that the silo is missing."""
        try:
            row = conn.execute(self.text, _values(given)).fetchone()
        except psycopg.errors.NoDataFound:
            row = None
        except psycopg.IntegrityError as error:
            raise self.workload.error(error.diag.constraint_name, given) from error
        if row is None:
            raise self.workload.commands[0].error(given, ())
        return _created(row)


class Plpgsql(Cte):
    """Call the function."""

    name: ClassVar[str] = "one PL/pgSQL function"
    text = _CALL

    @contextmanager
    def open(self, conninfo: str) -> Iterator[Driver]:
        """Connect, and create the function."""
        with psycopg.connect(conninfo, autocommit=True) as conn:
            conn.execute((_HERE / "plpgsql.sql").read_bytes())
        with super().open(conninfo) as driver:
            yield driver


def _values(given: NewProjectInput) -> dict[str, object]:
    new, router_id = given
    return {
        "silo_id": new.silo_id,
        "id": new.id,
        "name": new.name,
        "description": new.description,
        "vpc_id": uuid4(),
        "router_id": router_id or uuid4(),
        "subnet_id": uuid4(),
        "internal_id": uuid4(),
        "ssh_id": uuid4(),
        "block": DEFAULT_BLOCK,
    }


def _created(row: tuple[Any, ...]) -> ProjectCreated:
    """Make the models of the one row, in which all rows that were written follow each other."""
    return ProjectCreated(
        Project(*row[0:6]),
        VpcCreated(
            Vpc(*row[6:12]),
            Router(*row[12:17]),
            Subnet(*row[17:22]),
            [FirewallRule(*row[22:30]), FirewallRule(*row[30:38])],
        ),
    )
