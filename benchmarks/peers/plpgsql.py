# SPDX-License-Identifier: MIT
"""One function on the server (plpgsql.sql): the service's logic lives in the database.

https://www.postgresql.org/docs/18/plpgsql.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Self
from uuid import UUID

import psycopg

from benchmarks.peers.cte import created, values
from benchmarks.peers.on_psycopg import OnPsycopg, one
from benchmarks.peers.statements import meaning
from benchmarks.scene import Scene
from examples.datastore.models import NewProject, ProjectCreated

FUNCTION = Path(__file__).with_suffix(".sql").read_bytes()

CALL = (
    "SELECT * FROM project_create(%(silo_id)s, %(id)s, %(name)s, %(description)s, %(vpc_id)s, "
    "%(router_id)s, %(subnet_id)s, %(block)s, %(internal_id)s, %(ssh_id)s)"
)


class Plpgsql(OnPsycopg):
    """Calls the function."""

    name: ClassVar[str] = "one PL/pgSQL function"

    @classmethod
    @contextmanager
    def opened(cls, scene: Scene) -> Iterator[Self]:
        """Connect, and create the function."""
        with super().opened(scene) as peer:
            peer.conn.execute(FUNCTION)
            yield peer

    def create(self, new: NewProject, router_id: UUID) -> ProjectCreated:
        """Create a project."""
        try:
            return created(one(self.conn.execute(CALL, values(new, router_id))))
        except psycopg.errors.NoDataFound as error:
            raise meaning(None, new) from error
        except psycopg.IntegrityError as error:
            raise meaning(error.diag.constraint_name, new) from error
