# SPDX-License-Identifier: MIT
"""Projects: containers of a silo's resources."""

from __future__ import annotations

from uuid import UUID

from batchq import Batch, format_error, gather, insert, row, select, unique
from examples.datastore.errors import AlreadyExists, NotFound, Refused
from examples.datastore.limits import TAKE_PROJECT, limits_give_back_project
from examples.datastore.models import NewProject, Project, ProjectCreated
from examples.datastore.parents import DISKS, INSTANCES, PROJECT, PROJECTS, VPCS
from examples.datastore.vpc import VPC_WITH_DEFAULTS

PROJECT_INSERT = (
    insert("project", NewProject)
    .one(Project)
    .on(unique("lookup_project_by_silo"), lambda v: AlreadyExists("project", v.values["name"]))
    .invariant("project_pkey", "project_vpcs_within_limit")
)


PROJECT_CREATE = (
    gather(
        PROJECTS.add(
            row(NewProject).silo_id,
            PROJECT_INSERT.label("project"),
            missing=lambda v: NotFound("silo", v.values["id"]),
        ),
        VPC_WITH_DEFAULTS.partial(project_id=row(NewProject).id, name="default")
        .as_invariant("creating the default VPC")
        .label("default_vpc"),
        TAKE_PROJECT.partial(silo=row(NewProject).silo_id).label("limit"),
    )
    .map(lambda made: ProjectCreated(project=made[0], default_vpc=made[1]))
    .label("project_create")
    .takes(NewProject)
)


def project_create(new: NewProject) -> Batch[ProjectCreated]:
    """Create a project with its default VPC, and count it against the silo's limit."""
    return PROJECT_CREATE.bind(new)


def project_insert(new: NewProject) -> Batch[Project]:
    """Insert the project alone."""
    return PROJECT_INSERT.bind(new)


def project_delete(project: Project) -> Batch[None]:
    """Delete a project if it is empty and unchanged since the caller read it."""
    children = {"an instance": INSTANCES, "a disk": DISKS, "a vpc": VPCS}
    return (
        gather(
            PROJECT.delete(
                project.id,
                missing=NotFound("project", project.id),
                guards=[
                    kind.forbid(
                        project.id,
                        unexpected=format_error(Refused, f"the project contains {what}: {{name}}"),
                    )
                    for what, kind in children.items()
                ],
                generation=project.rcgen,
                stale=Refused("deletion failed due to concurrent modification"),
            ),
            limits_give_back_project(project.silo_id).label("limit"),
        )
        .map(lambda _: None)
        .label("project_delete")
    )


def project_fetch(project_id: UUID) -> Batch[Project]:
    """Read a project that is not deleted."""
    return (
        select("project", where={"id": project_id, "time_deleted": None})
        .one(Project)
        .expect(1, missing=NotFound("project", project_id))
        .label("project_fetch")
    )
