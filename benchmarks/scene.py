# SPDX-License-Identifier: MIT
"""Where a peer works: a schema of its own with the example's tables, and what is in it at first.

Each peer has its own, so that none pays for the rows of another and what it leaves behind can be
compared with what the others left.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal
from uuid import UUID, uuid4

import psycopg
from attrs import evolve, frozen
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from batchq import gather, run
from examples.datastore.models import NewProject, NewSilo
from examples.datastore.project import project_create
from examples.datastore.schema import create_tables
from examples.datastore.silo import silo_create

At = Literal["first", "middle", "last"]
"""Which of the eight statements fails: the silo is gone (1st), the id of the default VPC's router
is taken (4th), or there is room for no more projects (8th)."""

PLENTY = 1_000_000_000


@frozen
class Scene:
    """Where to work and what is there.

    Attributes:
        conninfo: connections of it see the tables.
        silo: a silo with room for any number of projects.
        full: a silo with room for none.
        gone: a silo that is not there.
        router: a router that is there.
    """

    conninfo: str
    silo: UUID
    full: UUID
    gone: UUID
    router: UUID

    def project(self, number: int) -> NewProject:
        """The project of that number."""
        return NewProject(silo_id=self.silo, name=f"project-{number}")

    def failing(self, number: int, at: At) -> tuple[NewProject, UUID]:
        """The project of that number and the id of its router, such that it cannot be created."""
        new = self.project(number)
        if at == "middle":
            return new, self.router
        return evolve(new, silo_id=self.gone if at == "first" else self.full), uuid4()

    def through(self, conninfo: str) -> Scene:
        """The same by another way to the server."""
        options = psycopg.conninfo.conninfo_to_dict(self.conninfo)["options"]
        return evolve(self, conninfo=make_conninfo(conninfo, options=options))


@contextmanager
def scene(conninfo: str, schema: str) -> Iterator[Scene]:
    """Set one up in an empty schema of that name, which is dropped in the end."""
    with psycopg.connect(conninfo, autocommit=True) as admin:
        admin.execute(SQL("CREATE SCHEMA {}").format(Identifier(schema)))
        try:
            inside = make_conninfo(conninfo, options=f"-csearch_path={schema}")
            with psycopg.connect(inside, autocommit=True) as conn:
                create_tables(conn)
                yield _filled(conn, inside)
        finally:
            admin.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(schema)))


def _filled(conn: psycopg.Connection[Any], conninfo: str) -> Scene:
    silo, full = NewSilo(name="silo"), NewSilo(name="full")
    run(conn, gather(silo_create(silo, projects=PLENTY), silo_create(full, projects=0)))
    there = NewProject(silo_id=silo.id, name="there")
    vpc = run(conn, project_create(there)).default_vpc.vpc
    return Scene(conninfo, silo.id, full.id, uuid4(), vpc.system_router_id)
