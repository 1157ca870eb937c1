# SPDX-License-Identifier: MIT
"""DataStore: the interface that the rest of the service calls. It runs batches and builds none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from attrs import frozen
from psycopg import Connection
from psycopg_pool import ConnectionPool

from batchq import Retry, run
from batchq.bulk import Deleted, Fenced, Report, TooManyRows, resume
from batchq.bulk.progress.events import Observer
from examples.datastore.firewall import rule_create, rule_list
from examples.datastore.models import (
    FirewallRule,
    NewFirewallRule,
    NewProject,
    NewRoute,
    NewRouter,
    NewSilo,
    NewSubnet,
    NewVpc,
    Project,
    ProjectCreated,
    Route,
    Router,
    Silo,
    Subnet,
    Vpc,
    VpcCreated,
    VpcView,
)
from examples.datastore.project import project_create, project_delete, project_fetch
from examples.datastore.router import route_create, router_create
from examples.datastore.silo import silo_create
from examples.datastore.subnet import subnet_create, subnet_delete
from examples.datastore.vpc import vpc_create, vpc_fetch, vpc_view
from examples.datastore.vpc_delete import TREE, vpc_delete, vpc_fence

_RETRY = Retry(attempts=5)
"""Retries what applied nothing and may succeed: conflicts, and lost connections of a pool."""


@frozen
class DataStore:
    """Run each method as one transaction in one round trip; raise the service's own errors.

    Two methods take more: a large VPC needs a second transaction to be fenced, and
    :meth:`resume_deletes` runs many.
    """

    database: ConnectionPool[Any] | Connection[Any]

    def silo_create(self, new: NewSilo, *, projects: int) -> Silo:
        """Create a silo with a limit of this many projects."""
        return run(self.database, silo_create(new, projects=projects), retry=_RETRY)

    def project_create(self, new: NewProject) -> ProjectCreated:
        """Create a project with its default VPC, and count it against the silo's limit."""
        return run(self.database, project_create(new), retry=_RETRY)

    def project_fetch(self, project_id: UUID) -> Project:
        """Read a project that is not deleted."""
        return run(self.database, project_fetch(project_id), read_only=True, retry=_RETRY)

    def project_delete(self, project: Project) -> None:
        """Delete a project that is empty and unchanged since it was read."""
        run(self.database, project_delete(project), retry=_RETRY)

    def vpc_create(self, new: NewVpc) -> VpcCreated:
        """Create a VPC in an existing project, and count it against the project's limit."""
        return run(self.database, vpc_create(new), retry=_RETRY)

    def vpc_fetch(self, vpc_id: UUID) -> Vpc:
        """Read a VPC that is not deleted."""
        return run(self.database, vpc_fetch(vpc_id), read_only=True, retry=_RETRY)

    def vpc_view(self, vpc_id: UUID) -> VpcView:
        """Read a VPC and count what it contains."""
        return run(self.database, vpc_view(vpc_id), read_only=True, retry=_RETRY)

    def vpc_delete(self, vpc: Vpc) -> Deleted | Fenced:
        """Delete a VPC that has no subnets and is unchanged since it was read.

        If it contains too many rows it is only fenced; :meth:`resume_deletes` deletes the rest.
        """
        try:
            return Deleted(run(self.database, vpc_delete(vpc), retry=_RETRY))
        except TooManyRows:
            return Fenced(run(self.database, vpc_fence(vpc), retry=_RETRY))

    def resume_deletes(self, *, owner: str, observers: Iterable[Observer] = ()) -> Report:
        """Continue the deletes that run in chunks, for some seconds: a cron job.

        :param owner: name of this worker, shown in the table of jobs.
        :param watchers: are notified of its progress.
        """
        return resume(self.database, [TREE], owner=owner, observers=observers)

    def rule_create(self, new: NewFirewallRule) -> FirewallRule:
        """Create a firewall rule in an existing VPC."""
        return run(self.database, rule_create(new), retry=_RETRY)

    def rule_list(self, vpc_id: UUID) -> list[FirewallRule]:
        """Read all rules of a VPC."""
        return run(self.database, rule_list(vpc_id), read_only=True, retry=_RETRY)

    def router_create(self, new: NewRouter) -> Router:
        """Create a router in an existing VPC."""
        return run(self.database, router_create(new), retry=_RETRY)

    def route_create(self, new: NewRoute) -> Route:
        """Create a route of an existing router."""
        return run(self.database, route_create(new), retry=_RETRY)

    def subnet_create(self, new: NewSubnet) -> Subnet:
        """Create a subnet in an existing VPC."""
        return run(self.database, subnet_create(new), retry=_RETRY)

    def subnet_delete(self, subnet_id: UUID) -> None:
        """Delete a subnet."""
        run(self.database, subnet_delete(subnet_id), retry=_RETRY)
