# SPDX-License-Identifier: MIT
"""SQLAlchemy Core on psycopg: statements as expressions, rows as named tuples.

https://docs.sqlalchemy.org/en/21/core/connections.html: "Begin Once", and
https://docs.sqlalchemy.org/en/21/tutorial/data_insert.html: "INSERT...RETURNING".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Self
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, Row, Table, insert, update
from sqlalchemy.exc import IntegrityError

from benchmarks.peers import OneByOne
from benchmarks.peers.sqlalchemy_tables import (
    PROJECT,
    ROUTER,
    RULE,
    SILO,
    SILO_LIMITS,
    SUBNET,
    VPC,
    constraint,
    engine,
)
from benchmarks.peers.statements import BLOCK, RULES, meaning
from benchmarks.scene import Scene
from examples.datastore.models import NewProject

_INSERTS = {
    table: insert(table).returning(*table.c) for table in (PROJECT, VPC, ROUTER, SUBNET, RULE)
}


class Core(OneByOne):
    """Waits for the answer to each statement."""

    name: ClassVar[str] = "SQLAlchemy Core"

    def __init__(self, scene: Scene, engine: Engine) -> None:
        super().__init__(scene)
        self._engine = engine

    @classmethod
    @contextmanager
    def opened(cls, scene: Scene) -> Iterator[Self]:
        """Make an engine."""
        made = engine(scene.conninfo)
        try:
            yield cls(scene, made)
        finally:
            made.dispose()

    def create(self, new: NewProject, router_id: UUID) -> list[Row[tuple[object, ...]]]:
        """Create a project."""
        try:
            with self._engine.begin() as conn:
                return _create(conn, new, router_id)
        except IntegrityError as error:
            raise meaning(constraint(error.orig), new) from error


def _create(conn: Connection, new: NewProject, router_id: UUID) -> list[Row[tuple[object, ...]]]:
    bump = update(SILO).where(SILO.c.id == new.silo_id, SILO.c.time_deleted.is_(None))
    if conn.execute(bump.values(rcgen=SILO.c.rcgen + 1)).rowcount != 1:
        raise meaning(None, new)
    vpc_id = uuid4()
    rows: list[tuple[Table, dict[str, object]]] = [
        (
            PROJECT,
            {
                "id": new.id,
                "silo_id": new.silo_id,
                "name": new.name,
                "description": new.description,
            },
        ),
        (
            VPC,
            {
                "id": vpc_id,
                "project_id": new.id,
                "system_router_id": router_id,
                "name": "default",
            },
        ),
        (ROUTER, {"id": router_id, "vpc_id": vpc_id, "kind": "system", "name": "system"}),
        (SUBNET, {"id": uuid4(), "vpc_id": vpc_id, "name": "default", "ipv4_block": BLOCK}),
        *[
            (
                RULE,
                {
                    "id": uuid4(),
                    "vpc_id": vpc_id,
                    "name": name,
                    "direction": "inbound",
                    "action": "allow",
                    "protocols": protocols,
                    "priority": 65534,
                },
            )
            for name, protocols in RULES
        ],
    ]
    made = [conn.execute(_INSERTS[table], row).one() for table, row in rows]
    take = update(SILO_LIMITS).where(SILO_LIMITS.c.silo_id == new.silo_id)
    if conn.execute(take.values(projects_used=SILO_LIMITS.c.projects_used + 1)).rowcount != 1:
        raise LookupError("the silo has no limits")
    return made
