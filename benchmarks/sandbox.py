# SPDX-License-Identifier: MIT
"""Set up a server, and on it a schema for each peer, with the example's tables and first rows.

Each peer has its own schema, so that none pays for the rows of another, and the rows that it leaves
can be compared with those of the others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any
from uuid import UUID

import psycopg
from attrs import frozen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier

from batchq import gather, run
from examples.datastore.models import NewProject, NewSilo
from examples.datastore.project import project_create
from examples.datastore.schema import create_tables
from examples.datastore.silo import silo_create

# No commit waits for the disk, which all peers would do alike, and no vacuum runs during a turn.
SETTINGS: Mapping[str, str | int] = {"synchronous_commit": "off", "autovacuum": "off"}
"""Of a server that is started for a benchmark."""

PLENTY = 1_000_000_000
PROJECT_NAME = "there"
"""Of the one project that is there at first, in the silo with room."""

_names = map(f"batchq_bench_{os.getpid()}_{{}}".format, count())
"""Schemas. Another run on the same server has other names."""


@frozen
class Sandbox:
    """A schema, and what is in it.

    Attributes:
        conninfo: its connections see the tables.
        silo: a silo with room for any number of projects.
        full: a silo with room for none.
    """

    conninfo: str
    silo: UUID
    full: UUID

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """Connect in autocommit."""
        return psycopg.connect(self.conninfo, autocommit=True)

    def through(self, conninfo: str) -> str:
        """Return another way to the sandbox: another one to the server."""
        return make_conninfo(conninfo, options=conninfo_to_dict(self.conninfo)["options"])


@contextmanager
def sandbox(conninfo: str) -> Iterator[Sandbox]:
    """Create a schema and fill it; it is dropped at the end."""
    schema = next(_names)
    with psycopg.connect(conninfo, autocommit=True) as admin:
        admin.execute(SQL("CREATE SCHEMA {}").format(Identifier(schema)))
        try:
            yield _filled(make_conninfo(conninfo, options=f"-csearch_path={schema}"))
        finally:
            admin.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(schema)))


def _filled(conninfo: str) -> Sandbox:
    silo, full = NewSilo(name="silo"), NewSilo(name="full")
    with psycopg.connect(conninfo, autocommit=True) as conn:
        create_tables(conn)
        run(conn, gather(silo_create(silo, projects=PLENTY), silo_create(full, projects=0)))
        run(conn, project_create(NewProject(silo_id=silo.id, name=PROJECT_NAME)))
    return Sandbox(conninfo, silo.id, full.id)
