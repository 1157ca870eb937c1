# SPDX-License-Identifier: MIT
"""Instances: flow 2.6, and the deletion in 2.12."""

from __future__ import annotations

from uuid import UUID, uuid4

from attrs import field, frozen

from batchq import Batch, delete, format_error, gather, insert_or_get, sql, unique, update
from batchq.types import Inserted
from tests.flows.datastore.errors import AlreadyExists, InvalidRequest, NotFound
from tests.flows.datastore.parents import INSTANCES


@frozen(kw_only=True)
class NewInstance:
    """An instance to create."""

    id: UUID = field(factory=uuid4)
    project_id: UUID
    name: str
    state: str = "creating"
    state_generation: int = 1
    ncpus: int
    memory: int


@frozen
class Instance:
    """An instance of a project."""

    id: UUID
    project_id: UUID
    name: str
    state: str
    state_generation: int
    ncpus: int
    memory: int


def instance_create(new: NewInstance) -> Batch[Inserted[Instance]]:
    """Create an instance in a project that is there, or get it where this is said again.

    That it is there and has gone on since, or never was this one, is a bug.
    """
    same = ["state", "state_generation"]
    row = insert_or_get("instance", new, Instance, key=["id"], same=same)
    named = row.on(unique("lookup_instance_by_project"), AlreadyExists("instance", new.name))
    gone = NotFound("project", new.project_id)
    return INSTANCES.add(new.project_id, named, missing=gone).label("instance_create")


def instance_delete(instance_id: UUID) -> Batch[None]:
    """Delete an instance that does not run, and detach its disks. To say it again is no error."""
    its = {"instance_id": instance_id}
    return (
        gather(
            instance_destroy(instance_id).label("instance"),
            update(
                "disk",
                {
                    "disk_state": "detached",
                    "attach_instance_id": None,
                    "slot": None,
                    "state_generation": sql("state_generation + 1"),
                },
                where={"attach_instance_id": instance_id, "time_deleted": None},
            ).label("disks"),
            delete("affinity_group_instance_membership", where=its),
            delete("anti_affinity_group_instance_membership", where=its),
            delete("instance_ssh_key", where=its),
            update(
                "migration", {"time_deleted": sql("now()")}, where={**its, "time_deleted": None}
            ),
        )
        .map(lambda _: None)
        .label("instance_delete")
    )


def instance_destroy(instance_id: UUID) -> Batch[None]:
    """Destroy an instance, if there still is one."""
    return (
        update(
            "instance",
            {
                "state": "destroyed",
                "time_deleted": sql("now()"),
                "state_generation": sql("state_generation + 1"),
            },
            where={"id": instance_id, "time_deleted": None},
        )
        .expect(at_most=1)
        .require(
            {"active_propolis_id": None},
            raises=InvalidRequest(
                "cannot delete instance: instance is running or has not yet fully stopped"
            ),
        )
        .require(
            {"state": ["no_vmm", "failed"]},
            raises=format_error(InvalidRequest, 'instance cannot be deleted in state "{state}"'),
        )
    )
