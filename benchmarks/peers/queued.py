# SPDX-License-Identifier: MIT
"""psycopg's pipeline mode with BEGIN and COMMIT queued like any other statement.

https://www.psycopg.org/psycopg3/docs/advanced/pipeline.html. One flight as long as all goes well.
COMMIT is on its way before any answer is read, so the server itself has to abort where a row was
not there; and a transaction that has failed is still open and is rolled back in a second flight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, LiteralString, TypeVar
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import class_row

from benchmarks.peers.on_psycopg import OnPsycopg, one
from benchmarks.peers.statements import (
    BLOCK,
    GUARDED_LIMIT,
    GUARDED_SILO,
    PROJECT,
    ROUTER,
    RULE,
    SUBNET,
    VPC,
    meaning,
    rules,
)
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

T = TypeVar("T")


class Queued(OnPsycopg):
    """Sends all at once, BEGIN and COMMIT included."""

    name: ClassVar[str] = "psycopg pipeline(), BEGIN queued"

    def create(self, new: NewProject, router_id: UUID) -> ProjectCreated:
        """Create a project."""
        try:
            return self._create(new, router_id)
        except psycopg.Error as error:
            self.conn.rollback()
            if isinstance(error, psycopg.errors.DivisionByZero):
                raise meaning(None, new) from error
            raise meaning(error.diag.constraint_name or "", new) from error

    def _create(self, new: NewProject, router_id: UUID) -> ProjectCreated:
        vpc_id = uuid4()
        with self.conn.pipeline():
            self.conn.execute("BEGIN")
            self.conn.execute(GUARDED_SILO, (new.silo_id,))
            project = self._sent(Project, PROJECT, (new.id, new.silo_id, new.name, new.description))
            vpc = self._sent(Vpc, VPC, (vpc_id, new.id, router_id, "default"))
            router = self._sent(Router, ROUTER, (router_id, vpc_id, "system", "system"))
            subnet = self._sent(Subnet, SUBNET, (uuid4(), vpc_id, "default", BLOCK))
            sent = [self._sent(FirewallRule, RULE, rule) for rule in rules(vpc_id)]
            self.conn.execute(GUARDED_LIMIT, (new.silo_id,))
            self.conn.execute("COMMIT")
        made = VpcCreated(one(vpc), one(router), one(subnet), [one(rule) for rule in sent])
        return ProjectCreated(one(project), made)

    def _sent(
        self, model: type[T], text: LiteralString, values: Sequence[object]
    ) -> psycopg.Cursor[T]:
        return self.conn.cursor(row_factory=class_row(model)).execute(text, values)
