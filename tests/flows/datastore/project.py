# SPDX-License-Identifier: MIT
"""Projects: flows 2.1 and 2.5."""

from __future__ import annotations

from uuid import UUID, uuid4

from attrs import field, frozen

from batchq import Batch, check, delete, format_error, gather, insert, not_null, sql, unique, update
from tests.flows.datastore.errors import (
    AlreadyExists,
    InsufficientCapacity,
    InvalidRequest,
    NotFound,
)
from tests.flows.datastore.parents import (
    AFFINITY_GROUPS,
    ANTI_AFFINITY_GROUPS,
    DISKS,
    FLOATING_IPS,
    IMAGES,
    INSTANCES,
    PROJECT,
    PROJECTS,
    SNAPSHOTS,
    VPCS,
)
from tests.flows.datastore.vpc import NewVpc, VniRangeExhausted, VpcCreated, vpc_create

CHILDREN = {
    "an instance": INSTANCES,
    "a disk": DISKS,
    "a floating ip": FLOATING_IPS,
    "a project image": IMAGES,
    "a snapshot": SNAPSHOTS,
    "a vpc": VPCS,
    "an affinity group": AFFINITY_GROUPS,
    "an anti affinity group": ANTI_AFFINITY_GROUPS,
}
"""What a project may contain, in the words of the error that refuses its deletion."""

NOTHING = {
    "virtual_disk_bytes_provisioned": 0,
    "cpus_provisioned": 0,
    "ram_provisioned": 0,
}


@frozen(kw_only=True)
class NewProject:
    """A project to create."""

    id: UUID = field(factory=uuid4)
    silo_id: UUID
    name: str
    description: str = ""


@frozen
class Project:
    """A project."""

    id: UUID
    silo_id: UUID
    name: str
    description: str
    rcgen: int


@frozen
class ProjectCreated:
    """A project, and the VPC that comes with it."""

    project: Project
    default_vpc: VpcCreated


def project_create(new: NewProject, vnis: range) -> Batch[ProjectCreated]:
    """Create a project with its default VPC, and count it against the silo's limit.

    :param vnis: where to look for the VPC's; see ``vpc_create``.
    """
    default = NewVpc(project_id=new.id, name="default", dns_name="default")
    return (
        gather(
            PROJECTS.add(
                new.silo_id,
                project_insert(new).label("project"),
                missing=NotFound("silo", new.silo_id),
            ),
            collection_insert(new.id).label("provisioning"),
            limits_take_project(new.silo_id).label("limit"),
            vpc_create(default, vnis)
            .as_invariant("creating the default VPC")
            .on(not_null("vni"), VniRangeExhausted),  # nobody's fault: the next range may do
        )
        .map(lambda made: ProjectCreated(project=made[0], default_vpc=made[3]))
        .label("project_create")
    )


def project_insert(new: NewProject) -> Batch[Project]:
    """Insert the project alone."""
    return (
        insert("project", new)
        .one(Project)
        .on(unique("lookup_project_by_silo"), AlreadyExists("project", new.name))
        .invariant("project_pkey")
    )


def collection_insert(project_id: UUID) -> Batch[None]:
    """Begin to count what is provisioned in a new project."""
    collection = {"id": project_id, "collection_type": "Project", **NOTHING}
    return insert("virtual_provisioning_collection", collection).invariant(
        "virtual_provisioning_collection_pkey"
    )


def limits_take_project(silo_id: UUID) -> Batch[None]:
    """Count one more project. A silo without limits is a bug, so that is not mapped."""
    return (
        update("limits", {"nprojects": sql("nprojects + 1")}, where={"silo_id": silo_id})
        .expect(1)
        .on(
            check("nprojects_within_limit"),
            InsufficientCapacity("this silo has room for no more projects"),
        )
    )


def project_delete(project: Project) -> Batch[None]:
    """Delete a project as the caller has seen it, unless there is something in it."""
    contains = "project to be deleted contains {}: {{name}}".format
    return (
        gather(
            PROJECT.delete(
                project.id,
                missing=NotFound("project", project.id),
                guards=[
                    kind.forbid(project.id, unexpected=format_error(InvalidRequest, contains(one)))
                    for one, kind in CHILDREN.items()
                ],
                generation=project.rcgen,
                stale=InvalidRequest("deletion failed due to concurrent modification"),
            ),
            delete("virtual_provisioning_collection", where={"id": project.id})
            .expect(1)
            .require(NOTHING)  # or somebody has lost count
            .label("provisioning"),
        )
        .map(lambda _: None)
        .label("project_delete")
    )
