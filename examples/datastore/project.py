# SPDX-License-Identifier: MIT
"""Projects: a silo's resources live in one."""

from __future__ import annotations

from uuid import UUID

from batchq import Batch, gather, insert, select, unique
from examples.datastore.errors import AlreadyExists, NotFound
from examples.datastore.limits import limits_take_project
from examples.datastore.models import NewProject, NewVpc, Project, ProjectCreated
from examples.datastore.parent import parent_bump
from examples.datastore.vpc import vpc_with_defaults


def project_create(new: NewProject) -> Batch[ProjectCreated]:
    """Create a project with its default VPC, and count it against the silo's limit."""
    return (
        gather(
            parent_bump("silo", new.silo_id).label("silo"),
            project_insert(new).label("project"),
            vpc_with_defaults(NewVpc(project_id=new.id, name="default"))
            .as_internal("creating the default VPC")
            .label("default_vpc"),
            limits_take_project(new.silo_id).label("limit"),
        )
        .map(lambda made: ProjectCreated(project=made[1], default_vpc=made[2]))
        .label("project_create")
    )


def project_insert(new: NewProject) -> Batch[Project]:
    """Insert the project alone."""
    return (
        insert("project", new)
        .one(Project)
        .on(unique("lookup_project_by_silo"), AlreadyExists("project", new.name))
        .internal("project_pkey")
    )


def project_fetch(project_id: UUID) -> Batch[Project]:
    """Read a living project."""
    return (
        select("project", where={"id": project_id, "time_deleted": None})
        .one(Project)
        .expect(1, missing=NotFound("project", project_id))
        .label("project_fetch")
    )
