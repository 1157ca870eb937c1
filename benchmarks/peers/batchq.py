# SPDX-License-Identifier: MIT
"""batchq: the example's own function, from what a caller says to the rows as models."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from batchq import Batch, InvariantViolation, gather, run
from benchmarks.peers import Internal
from benchmarks.peers.on_psycopg import OnPsycopg
from examples.datastore.errors import NotFound
from examples.datastore.limits import limits_take_project
from examples.datastore.models import NewProject, NewVpc, ProjectCreated
from examples.datastore.parents import PROJECTS
from examples.datastore.project import project_create, project_insert
from examples.datastore.vpc import vpc_with_defaults


class Batchq(OnPsycopg):
    """Builds, composes, sends, attributes and decodes."""

    name: ClassVar[str] = "batchq"

    def project_create(self, numbers: range) -> None:
        """Create the projects of these numbers."""
        for number in numbers:
            run(self.conn, project_create(self.scene.project(number)))

    def create(self, new: NewProject, router_id: UUID) -> ProjectCreated:
        """Create a project whose router's id is a matter of the caller's."""
        try:
            return run(self.conn, _project_create(new, router_id))
        except InvariantViolation as error:
            violation = error.violation
            raise Internal(violation and violation.constraint) from error


def _project_create(new: NewProject, router_id: UUID) -> Batch[ProjectCreated]:
    """The example's project_create, which makes up the router's id by itself and so never fails in
    the middle."""
    vpc = NewVpc(project_id=new.id, system_router_id=router_id, name="default")
    return (
        gather(
            PROJECTS.add(
                new.silo_id,
                project_insert(new).label("project"),
                missing=NotFound("silo", new.silo_id),
            ),
            vpc_with_defaults(vpc).as_invariant("creating the default VPC").label("default_vpc"),
            limits_take_project(new.silo_id).label("limit"),
        )
        .map(lambda made: ProjectCreated(project=made[0], default_vpc=made[1]))
        .label("project_create")
    )
