# SPDX-License-Identifier: MIT
"""Instances and their disks. Each call may be repeated: the second one changes nothing."""

from __future__ import annotations

from uuid import UUID, uuid4

from attrs import field, frozen

from batchq import (
    Batch,
    Statement,
    delete,
    format_error,
    gather,
    insert_or_get,
    select,
    sql,
    unique,
    update,
)
from batchq.conditions import ne
from batchq.types import Inserted
from examples.datastore.errors import AlreadyExists, NotFound, Refused
from examples.datastore.parents import DISKS, INSTANCES

MAX_DISKS_PER_INSTANCE = 12
"""As many as there are slots: 0 to 11."""


@frozen(kw_only=True)
class NewInstance:
    """An instance to create."""

    id: UUID = field(factory=uuid4)
    project_id: UUID
    name: str
    state: str = "creating"
    state_generation: int = 1


@frozen
class Instance:
    """An instance of a project."""

    id: UUID
    project_id: UUID
    name: str
    state: str
    state_generation: int


@frozen(kw_only=True)
class NewDisk:
    """A disk to create."""

    id: UUID = field(factory=uuid4)
    project_id: UUID
    name: str
    state: str = "creating"
    state_generation: int = 1


@frozen
class Disk:
    """A disk of a project, attached to an instance or not."""

    id: UUID
    project_id: UUID
    name: str
    state: str
    state_generation: int
    instance_id: UUID | None
    slot: int | None


@frozen
class Volume:
    """Where a disk stores its data."""

    disk_id: UUID
    volume_id: UUID


def instance_create(new: NewInstance) -> Batch[Inserted[Instance]]:
    """Create an instance in an existing project, or get it. In another state it is a bug."""
    same = ["state", "state_generation"]
    row = insert_or_get("instance", new, Instance, key=["id"], same=same)
    named = row.on(unique("lookup_instance_by_project"), AlreadyExists("instance", new.name))
    not_found = NotFound("project", new.project_id)
    return INSTANCES.add(new.project_id, named, missing=not_found).label("instance_create")


def instance_delete(instance_id: UUID) -> Batch[None]:
    """Delete an instance that does not run, and detach its disks."""
    its = {"instance_id": instance_id}
    detached = {
        "state": "detached",
        "instance_id": None,
        "slot": None,
        "state_generation": sql("state_generation + 1"),
    }
    return (
        gather(
            instance_destroy(instance_id).label("instance"),
            update("disk", detached, where={**its, "time_deleted": None}).label("disks"),
            delete("instance_ssh_key", where=its),
            update(
                "migration", {"time_deleted": sql("now()")}, where={**its, "time_deleted": None}
            ),
        )
        .map(lambda _: None)
        .label("instance_delete")
    )


def instance_destroy(instance_id: UUID) -> Batch[None]:
    """Mark an instance as destroyed, if it exists."""
    destroyed = {
        "state": "destroyed",
        "time_deleted": sql("now()"),
        "state_generation": sql("state_generation + 1"),
    }
    return (
        update("instance", destroyed, where={"id": instance_id, "time_deleted": None})
        .expect(at_most=1)
        .require({"vmm_id": None}, raises=Refused("the instance is running"))
        .require(
            {"state": ["stopped", "failed"]},
            raises=format_error(Refused, "an instance cannot be deleted in state {state}"),
        )
    )


def disk_create(new: NewDisk, volume_id: UUID) -> Batch[Inserted[Disk]]:
    """Create a disk in an existing project, or get it. In another state, or with another volume,
    it is a bug."""
    same = ["state", "state_generation"]
    disk = insert_or_get("disk", new, Disk, key=["id"], same=same)
    volume = insert_or_get(
        "disk_volume", Volume(new.id, volume_id), Volume, key=["disk_id"], same=["volume_id"]
    ).on(unique("disk_volume_volume_id_key"), AlreadyExists("disk of volume", volume_id))
    return DISKS.add(
        new.project_id,
        gather(
            disk.on(unique("lookup_disk_by_project"), AlreadyExists("disk", new.name)).label(
                "disk"
            ),
            volume.as_invariant("giving a disk a volume of its own").label("volume"),
        ).map(lambda made: made[0]),
        missing=NotFound("project", new.project_id),
    ).label("disk_create")


def disk_attach(
    disk_id: UUID, instance_id: UUID, *, at_most: int = MAX_DISKS_PER_INSTANCE
) -> Batch[Disk]:
    """Attach a disk to an instance that does not run.

    A batch that attaches to an instance or deletes it locks it first: the count of its disks stays.
    """
    return (
        gather(
            select("instance", where={"id": instance_id, "time_deleted": None})
            .for_update(strength="no key update")
            .expect(1, missing=NotFound("instance", instance_id))
            .require(
                {"state": ["creating", "stopped"]},
                raises=format_error(Refused, "a disk cannot be attached in state {state}"),
            )
            .label("instance"),
            other_disks(instance_id, disk_id)
            .expect(at_most=at_most - 1, unexpected=Refused(f"more than {at_most} disks"))
            .label("capacity"),
            attaching(disk_id, instance_id).label("disk"),
        )
        .map(lambda made: made[2])
        .label("disk_attach")
    )


def other_disks(instance_id: UUID, disk_id: UUID) -> Statement[None]:
    """Select the disks of an instance besides this one."""
    others = {"instance_id": instance_id, "time_deleted": None, "id": ne(disk_id)}
    return select("disk", where=others)


def attaching(disk_id: UUID, instance_id: UUID) -> Batch[Disk]:
    """Attach a disk to a locked instance, in the first free slot, unless it is attached to it."""
    slot = sql(
        """
        SELECT min(free) FROM generate_series(0, 11) AS free
        WHERE NOT EXISTS (
            SELECT FROM disk AS other WHERE other.instance_id = %(instance)s AND other.slot = free
        )
        """,
        instance=instance_id,
    )
    attached = {
        "state": "attached",
        "instance_id": instance_id,
        "slot": slot,
        "state_generation": sql("state_generation + 1"),
    }
    return (
        update("disk", attached, where={"id": disk_id, "time_deleted": None})
        .one(Disk)
        .expect(1, missing=NotFound("disk", disk_id))
        .unless({"state": "attached", "instance_id": instance_id})
        .require(
            {"instance_id": [None, instance_id]},
            raises=Refused("the disk is attached to another instance"),
        )
        .require(
            {"state": ["creating", "detached"]},
            raises=format_error(Refused, "a disk cannot be attached that is {state}"),
        )
        .invariant("disk_slot_in_range")
    )
