# SPDX-License-Identifier: MIT
"""psycopg, one statement at a time in a transaction block.

https://www.psycopg.org/psycopg3/docs/basic/transactions.html, and for the rows
https://www.psycopg.org/psycopg3/docs/advanced/typing.html
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


class Transaction(OnPsycopg):
    """Waits for the answer to each statement."""

    name: ClassVar[str] = "psycopg transaction()"

    def create(self, new: NewProject, router_id: UUID) -> ProjectCreated:
        """Create a project."""
        try:
            with self.conn.transaction():
                return self._create(new, router_id)
        except psycopg.IntegrityError as error:
            raise meaning(error.diag.constraint_name, new) from error

    def _create(self, new: NewProject, router_id: UUID) -> ProjectCreated:
        if self.conn.execute(SILO, (new.silo_id,)).rowcount != 1:
            raise meaning(None, new)
        project = self._one(Project, PROJECT, (new.id, new.silo_id, new.name, new.description))
        vpc_id = uuid4()
        vpc = self._one(Vpc, VPC, (vpc_id, new.id, router_id, "default"))
        router = self._one(Router, ROUTER, (router_id, vpc_id, "system", "system"))
        subnet = self._one(Subnet, SUBNET, (uuid4(), vpc_id, "default", BLOCK))
        made = [self._one(FirewallRule, RULE, rule) for rule in rules(vpc_id)]
        if self.conn.execute(LIMIT, (new.silo_id,)).rowcount != 1:
            raise LookupError("the silo has no limits")
        return ProjectCreated(project, VpcCreated(vpc, router, subnet, made))

    def _one(self, model: type[T], text: LiteralString, values: Sequence[object]) -> T:
        with self.conn.cursor(row_factory=class_row(model)) as cursor:
            return one(cursor.execute(text, values))
