# SPDX-License-Identifier: MIT
"""Disks: created and attached in flow 2.12."""

from __future__ import annotations

from typing import Literal
from uuid import UUID, uuid4

from attrs import field, frozen

from batchq import (
    Batch,
    Statement,
    format_error,
    gather,
    insert_or_get,
    select,
    sql,
    unique,
    update,
)
from batchq.types import Inserted
from tests.flows.datastore.errors import AlreadyExists, InvalidRequest, NotFound
from tests.flows.datastore.parents import DISKS

MAX_DISKS_PER_INSTANCE = 12
"""As many as there are slots: 0 to 11."""


@frozen(kw_only=True)
class NewDisk:
    """A disk to create."""

    id: UUID = field(factory=uuid4)
    project_id: UUID
    name: str
    disk_state: str = "creating"
    state_generation: int = 1
    size_bytes: int
    block_size: int = 4096
    disk_type: Literal["crucible"] = "crucible"


@frozen
class Disk:
    """A disk of a project."""

    id: UUID
    project_id: UUID
    name: str
    disk_state: str
    state_generation: int
    attach_instance_id: UUID | None
    slot: int | None


@frozen
class Crucible:
    """Where a disk of that type keeps its bytes."""

    disk_id: UUID
    volume_id: UUID


def disk_create(new: NewDisk, volume_id: UUID) -> Batch[Inserted[Disk]]:
    """Create a disk in a project that is there, or get it where this is said again.

    That it is there and has gone on since, or has another volume, is a bug.
    """
    same = ["disk_state", "state_generation"]
    disk = insert_or_get("disk", new, Disk, key=["id"], same=same)
    named = disk.on(unique("lookup_disk_by_project"), AlreadyExists("disk", new.name))
    return DISKS.add(
        new.project_id,
        gather(
            named.label("disk"),
            crucible_create(Crucible(new.id, volume_id))
            .as_invariant("giving a disk a volume of its own")
            .label("crucible"),
        ).map(lambda made: made[0]),
        missing=NotFound("project", new.project_id),
    ).label("disk_create")


def crucible_create(new: Crucible) -> Batch[Inserted[Crucible]]:
    """Say where a disk keeps its bytes, or get what was said before."""
    taken = AlreadyExists("disk of volume", str(new.volume_id))
    return insert_or_get(
        "disk_type_crucible", new, Crucible, key=["disk_id"], same=["volume_id"]
    ).on(unique("lookup_disk_by_volume_id"), taken)


def disk_attach(
    disk_id: UUID, instance_id: UUID, *, at_most: int = MAX_DISKS_PER_INSTANCE
) -> Batch[Disk]:
    """Attach a disk to an instance that does not run. To say it again is no error.

    Whoever attaches to the instance, or deletes it, locks it first, so its disks stay as counted.
    """
    return (
        gather(
            select("instance", where={"id": instance_id, "time_deleted": None})
            .for_update(strength="no key update")
            .expect(1, missing=NotFound("instance", instance_id))
            .require(
                {"state": ["creating", "no_vmm"]},
                raises=format_error(
                    InvalidRequest, "cannot attach disk to instance in {state} state"
                ),
            )
            .label("instance"),
            other_disks_at_least(at_most, instance_id, disk_id)
            .expect(
                0, unexpected=InvalidRequest(f"cannot attach more than {at_most} disks to instance")
            )
            .label("capacity"),
            attaching(disk_id, instance_id).label("disk"),
        )
        .map(lambda made: made[2])
        .label("disk_attach")
    )


def other_disks_at_least(count: int, instance_id: UUID, disk_id: UUID) -> Statement[None]:
    """One row where an instance has so many disks besides this one, and none where it has fewer."""
    return sql(
        """
        SELECT count(*) FROM disk
        WHERE attach_instance_id = %(instance)s AND time_deleted IS NULL AND id <> %(disk)s
        HAVING count(*) >= %(count)s
        """,
        instance=instance_id,
        disk=disk_id,
        count=count,
    )


def attaching(disk_id: UUID, instance_id: UUID) -> Batch[Disk]:
    """Attach a disk to an instance that is locked, in the first free slot."""
    slot = sql(
        """
        SELECT coalesce(disk.slot, min(free)) FROM generate_series(0, 11) AS free
        WHERE NOT EXISTS (
            SELECT FROM disk AS other
            WHERE other.attach_instance_id = %(instance)s AND other.slot = free
        )
        """,
        instance=instance_id,
    )
    attached = {
        "disk_state": "attached",
        "attach_instance_id": instance_id,
        "slot": slot,
        "state_generation": sql("state_generation + (disk_state <> 'attached')::int"),
    }
    mine_or_nobodys = sql("coalesce(attach_instance_id, %(me)s) = %(me)s", me=instance_id)
    return (
        update("disk", attached, where={"id": disk_id, "time_deleted": None})
        .one(Disk)
        .expect(1, missing=NotFound("disk", disk_id))
        .require(mine_or_nobodys, raises=InvalidRequest("disk is attached to another instance"))
        .require(
            {"disk_state": ["creating", "detached", "attached"]},
            raises=format_error(InvalidRequest, "cannot attach a disk that is {disk_state}"),
        )
        .invariant("disk_slot_check")
    )
