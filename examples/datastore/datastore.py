# SPDX-License-Identifier: MIT
"""DataStore: the interface that the rest of the service calls. It runs batches and builds none.

Those of the service run in one place, ``_run``, which puts the gate of the fleet around each.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from attrs import frozen
from psycopg import Connection
from psycopg_pool import ConnectionPool

from batchq import Batch, Retry, run
from batchq.bulk import Deleted, Fenced, Report, TooManyRows, resume
from batchq.bulk.progress.events import Observer
from batchq.bulk.throttles import query_throttle
from batchq.versions import Fleet, Window
from examples.datastore.firewall import rule_create, rule_list
from examples.datastore.fleet import FLEET
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
from examples.datastore.router import route_create, route_list, router_create
from examples.datastore.silo import silo_create
from examples.datastore.subnet import subnet_create, subnet_delete
from examples.datastore.vpc import vpc_create, vpc_fetch, vpc_view
from examples.datastore.vpc_delete import TREE, vpc_delete, vpc_fence

T = TypeVar("T")

_RETRY = Retry(attempts=5)
"""Retries what applied nothing and may succeed: conflicts, and lost connections of a pool."""

_RETIRED = """\
SELECT 'version ' || %(version)s || ' is retired' FROM version_window
WHERE fleet = %(fleet)s AND oldest > %(version)s"""


@frozen
class DataStore:
    """Run each method as one transaction in one round trip; raise the service's own errors.

    Two methods take more: a large VPC needs a second transaction to be fenced, and
    :meth:`resume_deletes` runs many.
    """

    database: ConnectionPool[Any] | Connection[Any]
    fleet: Fleet = FLEET
    """The version that this code is."""

    def join(self, member: str, *, lease: timedelta) -> Window:
        """Register this process, or renew its lease: at its start, and then from a timer."""
        return run(self.database, self.fleet.join(member, lease=lease), retry=_RETRY)

    def leave(self, member: str) -> None:
        """End the registration of this process."""
        run(self.database, self.fleet.leave(member), retry=_RETRY)

    def silo_create(self, new: NewSilo, *, projects: int) -> Silo:
        """Create a silo with a limit of this many projects."""
        return self._run(silo_create(new, projects=projects))

    def project_create(self, new: NewProject) -> ProjectCreated:
        """Create a project with its default VPC, and count it against the silo's limit."""
        return self._run(project_create(new))

    def project_fetch(self, project_id: UUID) -> Project:
        """Read a project that is not deleted."""
        return self._run(project_fetch(project_id), read_only=True)

    def project_delete(self, project: Project) -> None:
        """Delete a project that is empty and unchanged since it was read."""
        self._run(project_delete(project))

    def vpc_create(self, new: NewVpc) -> VpcCreated:
        """Create a VPC in an existing project, and count it against the project's limit."""
        return self._run(vpc_create(new))

    def vpc_fetch(self, vpc_id: UUID) -> Vpc:
        """Read a VPC that is not deleted."""
        return self._run(vpc_fetch(vpc_id), read_only=True)

    def vpc_view(self, vpc_id: UUID) -> VpcView:
        """Read a VPC and count what it contains."""
        return self._run(vpc_view(vpc_id), read_only=True)

    def vpc_delete(self, vpc: Vpc) -> Deleted | Fenced:
        """Delete a VPC that has no subnets and is unchanged since it was read.

        If it contains too many rows it is only fenced; :meth:`resume_deletes` deletes the rest.
        """
        try:
            return Deleted(self._run(vpc_delete(vpc)))
        except TooManyRows:
            return Fenced(self._run(vpc_fence(vpc)))

    def resume_deletes(self, *, owner: str, observers: Iterable[Observer] = ()) -> Report:
        """Continue the deletes that run in chunks, for some seconds: a cron job.

        It runs many batches of its own, so a throttle takes the place of the gate.

        :param owner: name of this worker, shown in the table of jobs.
        :param observers: are notified of its progress.
        """
        name, version = self.fleet.name, self.fleet.version
        retired = query_throttle(self.database, _RETIRED, fleet=name, version=version)
        return resume(self.database, [TREE], owner=owner, observers=observers, throttles=[retired])

    def rule_create(self, new: NewFirewallRule) -> FirewallRule:
        """Create a firewall rule in an existing VPC."""
        return self._run(rule_create(new))

    def rule_list(self, vpc_id: UUID) -> list[FirewallRule]:
        """Read all rules of a VPC."""
        return self._run(rule_list(vpc_id), read_only=True)

    def router_create(self, new: NewRouter) -> Router:
        """Create a router in an existing VPC."""
        return self._run(router_create(new))

    def route_create(self, new: NewRoute) -> Route:
        """Create a route of an existing router."""
        return self._run(route_create(new))

    def route_list(self, router_id: UUID) -> list[Route]:
        """Read all routes of a router."""
        return self._run(route_list(router_id), read_only=True)

    def subnet_create(self, new: NewSubnet) -> Subnet:
        """Create a subnet in an existing VPC."""
        return self._run(subnet_create(new))

    def subnet_delete(self, subnet_id: UUID) -> None:
        """Delete a subnet."""
        self._run(subnet_delete(subnet_id))

    def _run(self, batch: Batch[T], *, read_only: bool = False) -> T:
        """Run a batch while this version may run."""
        return run(self.database, self.fleet.gate(batch), read_only=read_only, retry=_RETRY)
