# SPDX-License-Identifier: MIT
"""psycopg's pipeline mode around a transaction block.

https://www.psycopg.org/psycopg3/docs/advanced/pipeline.html: "Pipeline mode and transactions". The
block waits for its BEGIN and for its COMMIT; in between the statements wait for each other no more.
Whether a row was there is looked at when all are sent, and before the block commits.
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
    LIMIT,
    PROJECT,
    ROUTER,
    RULE,
    SILO,
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

_FOUND: LiteralString = " RETURNING 1"


class Pipeline(OnPsycopg):
    """Sends all between BEGIN and COMMIT at once."""

    name: ClassVar[str] = "psycopg pipeline() + transaction()"

    def create(self, new: NewProject, router_id: UUID) -> ProjectCreated:
        """Create a project."""
        try:
            with self.conn.pipeline(), self.conn.transaction():
                return self._create(new, router_id)
        except psycopg.IntegrityError as error:
            raise meaning(error.diag.constraint_name, new) from error

    def _create(self, new: NewProject, router_id: UUID) -> ProjectCreated:
        vpc_id = uuid4()
        silo = self.conn.execute(SILO + _FOUND, (new.silo_id,))
        project = self._sent(Project, PROJECT, (new.id, new.silo_id, new.name, new.description))
        vpc = self._sent(Vpc, VPC, (vpc_id, new.id, router_id, "default"))
        router = self._sent(Router, ROUTER, (router_id, vpc_id, "system", "system"))
        subnet = self._sent(Subnet, SUBNET, (uuid4(), vpc_id, "default", BLOCK))
        sent = [self._sent(FirewallRule, RULE, rule) for rule in rules(vpc_id)]
        limit = self.conn.execute(LIMIT + _FOUND, (new.silo_id,))
        if silo.fetchone() is None:
            raise meaning(None, new)
        if limit.fetchone() is None:
            raise LookupError("the silo has no limits")
        made = VpcCreated(one(vpc), one(router), one(subnet), [one(rule) for rule in sent])
        return ProjectCreated(one(project), made)

    def _sent(
        self, model: type[T], text: LiteralString, values: Sequence[object]
    ) -> psycopg.Cursor[T]:
        return self.conn.cursor(row_factory=class_row(model)).execute(text, values)
