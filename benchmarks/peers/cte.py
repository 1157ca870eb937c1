# SPDX-License-Identifier: MIT
"""One statement written by hand (cte.sql): the server has all there is to do at once.

https://www.postgresql.org/docs/18/queries-with.html: "Data-Modifying Statements in WITH".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID, uuid4

import psycopg

from benchmarks.peers.on_psycopg import OnPsycopg
from benchmarks.peers.statements import BLOCK, meaning
from examples.datastore.models import (
    FirewallRule,
    NewProject,
    Project,
    ProjectCreated,
    Router,
    Subnet,
    Vpc,
    VpcCreated,
)

STATEMENT = Path(__file__).with_suffix(".sql").read_bytes()


class Cte(OnPsycopg):
    """Sends one statement."""

    name: ClassVar[str] = "one CTE"

    def create(self, new: NewProject, router_id: UUID) -> ProjectCreated:
        """Create a project."""
        try:
            row = self.conn.execute(STATEMENT, values(new, router_id)).fetchone()
        except psycopg.IntegrityError as error:
            raise meaning(error.diag.constraint_name, new) from error
        if row is None:
            raise meaning(None, new)
        return created(row)


def values(new: NewProject, router_id: UUID) -> dict[str, object]:
    """The parameters of the statement."""
    return {
        "silo_id": new.silo_id,
        "id": new.id,
        "name": new.name,
        "description": new.description,
        "vpc_id": uuid4(),
        "router_id": router_id,
        "subnet_id": uuid4(),
        "internal_id": uuid4(),
        "ssh_id": uuid4(),
        "block": BLOCK,
    }


def created(row: tuple[Any, ...]) -> ProjectCreated:
    """The models of all that is in the one row: what was written, one thing behind the other."""
    return ProjectCreated(
        Project(*row[0:6]),
        VpcCreated(
            Vpc(*row[6:12]),
            Router(*row[12:17]),
            Subnet(*row[17:22]),
            [FirewallRule(*row[22:30]), FirewallRule(*row[30:38])],
        ),
    )
