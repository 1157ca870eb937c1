# SPDX-License-Identifier: MIT
"""project_create as one statement, written by hand: the server has all there is to do at once.

One peer sends a CTE (cte.sql; https://www.postgresql.org/docs/18/queries-with.html: "Data-Modifying
Statements in WITH"), the other one calls a function (plpgsql.sql;
https://www.postgresql.org/docs/18/plpgsql.html), as if the service's logic lived in the database.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from attrs import fields

from benchmarks.peers import Connection, Driver, OnPsycopg
from examples.datastore.models import FirewallRule, NewProject, Project, Router, Subnet, Vpc
from examples.datastore.vpc import DEFAULT_BLOCK

_HERE = Path(__file__).parent
_ROWS = {
    "project": Project,
    "vpc": Vpc,
    "router": Router,
    "subnet": Subnet,
    "internal": FirewallRule,
    "ssh": FirewallRule,
}
"""The columns of the function, which are rows of the tables."""


def _call() -> str:
    columns = [f"({row}).{column.name}" for row, model in _ROWS.items() for column in fields(model)]
    return f"SELECT {', '.join(columns)} FROM project_create({', '.join(['%s'] * 10)})"  # noqa: S608


class Cte(OnPsycopg):
    """Send one statement, whose parts take their rows from each other."""

    name = "one CTE"
    text: bytes = (_HERE / "cte.sql").read_bytes()

    def call(self, conn: Connection, new: NewProject) -> object:
        """Run the statement: no row means that the silo is missing."""
        vpc_id, router_id, subnet_id, internal_id, ssh_id = (uuid4() for _ in range(5))
        project = (new.silo_id, new.id, new.name, new.description)
        values = (*project, vpc_id, router_id, subnet_id, DEFAULT_BLOCK, internal_id, ssh_id)
        try:
            row = conn.execute(self.text, values).fetchone()
        except psycopg.errors.NoDataFound:
            row = None
        if row is None:
            raise self.workload.commands[0].error(new)
        return self._result(row)

    def _result(self, row: tuple[Any, ...]) -> object:
        """Make the models of the one row, in which all rows that were written follow each other."""
        columns = iter(row)
        return self.workload.result(
            [
                [model(*islice(columns, len(fields(model))))] if model else ()
                for model in (command.model for command in self.workload.commands)
            ]
        )


class Plpgsql(Cte):
    """Call the function."""

    name = "one PL/pgSQL function"
    text = _call().encode()

    @contextmanager
    def open(self, conninfo: str) -> Iterator[Driver]:
        """Connect, and create the function."""
        with psycopg.connect(conninfo, autocommit=True) as conn:
            conn.execute((_HERE / "plpgsql.sql").read_bytes())
        with super().open(conninfo) as driver:
            yield driver
