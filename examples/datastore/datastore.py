# SPDX-License-Identifier: MIT
"""The DataStore: what the rest of the service calls. It runs batches and makes none."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from attrs import frozen
from psycopg import Connection
from psycopg_pool import ConnectionPool

from batchq import Retry, run
from examples.datastore.models import (
    NewProject,
    NewSilo,
    NewVpc,
    Project,
    ProjectCreated,
    Silo,
    VpcCreated,
)
from examples.datastore.project import project_create, project_delete, project_fetch
from examples.datastore.silo import silo_create
from examples.datastore.vpc import vpc_create

_RETRY = Retry(attempts=5)
"""Of serialization conflicts and deadlocks; nothing else is ever run again."""


@frozen
class DataStore:
    """Each method is one transaction in one round trip, and raises the service's own errors."""

    database: ConnectionPool[Any] | Connection[Any]

    def silo_create(self, new: NewSilo, *, projects: int) -> Silo:
        """Create a silo with room for so many projects."""
        return run(self.database, silo_create(new, projects=projects), retry=_RETRY)

    def project_create(self, new: NewProject) -> ProjectCreated:
        """Create a project with its default VPC, and count it against the silo's limit."""
        return run(self.database, project_create(new), retry=_RETRY)

    def project_fetch(self, project_id: UUID) -> Project:
        """Read a living project."""
        return run(self.database, project_fetch(project_id), read_only=True, retry=_RETRY)

    def project_delete(self, project: Project) -> None:
        """Delete a project that is empty and as it was when it was read."""
        run(self.database, project_delete(project), retry=_RETRY)

    def vpc_create(self, new: NewVpc) -> VpcCreated:
        """Create a VPC in a project that is there."""
        return run(self.database, vpc_create(new), retry=_RETRY)
