# SPDX-License-Identifier: MIT
"""What is provisioned, counted against the quotas of a silo: flow 2.7.

Idempotent, though it adds: whether the resource is new is an output of the step that inserts it, 0
or 1, and everything behind it adds so many times. The steps stay apart: the quota is locked before
the count is read, and each of the three limits has its own error.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from attrs import frozen

from batchq import Batch, Statement, gather, select, sql, update
from batchq.types import Output
from tests.flows.datastore.errors import InsufficientCapacity

CPUS_WITHIN_QUOTA: Final = """
    cpus_provisioned + %(more)s * %(fresh)s
        <= (SELECT cpus FROM silo_quotas WHERE silo_id = %(silo)s)
"""
MEMORY_WITHIN_QUOTA: Final = """
    ram_provisioned + %(more)s * %(fresh)s
        <= (SELECT memory_bytes FROM silo_quotas WHERE silo_id = %(silo)s)
"""
STORAGE_WITHIN_QUOTA: Final = """
    virtual_disk_bytes_provisioned + %(more)s * %(fresh)s
        <= (SELECT storage_bytes FROM silo_quotas WHERE silo_id = %(silo)s)
"""

NO_QUOTA = "Limit Exceeded: no quota is set for this silo"
CPUS_EXCEEDED = "vCPU Limit Exceeded: not enough vCPUs available to complete request"
MEMORY_EXCEEDED = "Memory Limit Exceeded: not enough memory available to complete request"
STORAGE_EXCEEDED = "Storage Limit Exceeded: not enough storage available to complete request"


@frozen(kw_only=True)
class Provisioning:
    """A resource, and what it takes."""

    id: UUID
    kind: str
    silo_id: UUID
    project_id: UUID
    fleet_id: UUID
    cpus: int = 0
    ram: int = 0
    disk_bytes: int = 0


def provision(new: Provisioning) -> Batch[bool]:
    """Count a resource once, however often this is said. The result is whether it was new."""
    resource = resource_insert(new)
    fresh = resource.output("fresh", "int8")
    return (
        gather(
            quotas_lock(new.silo_id).label("quotas"),
            resource.label("resource"),
            silo_add(new, fresh).label("silo"),
            collections_add(new, fresh).label("project_and_fleet"),
        )
        .map(lambda made: made[1] == 1)
        .label("provision")
    )


def quotas_lock(silo_id: UUID) -> Batch[None]:
    """Keep the quotas of a silo as they are. No quota is no room."""
    return (
        select("silo_quotas", where={"silo_id": silo_id})
        .for_update(strength="share")
        .expect(1, missing=InsufficientCapacity(NO_QUOTA))
    )


def resource_insert(new: Provisioning) -> Statement[int]:
    """Insert the resource, unless it is there; the row says how many are ``fresh``: 0 or 1."""
    return sql(
        """
        WITH inserted AS (
            INSERT INTO virtual_provisioning_resource (
                id, resource_type,
                virtual_disk_bytes_provisioned, cpus_provisioned, ram_provisioned
            ) VALUES (%(id)s, %(kind)s, %(disk_bytes)s, %(cpus)s, %(ram)s)
            ON CONFLICT (id) DO NOTHING
            RETURNING 1
        )
        SELECT count(*) AS fresh FROM inserted
        """,
        id=new.id,
        kind=new.kind,
        disk_bytes=new.disk_bytes,
        cpus=new.cpus,
        ram=new.ram,
    ).scalar(int)


def silo_add(new: Provisioning, fresh: Output) -> Batch[None]:
    """Add to the count of the silo, as long as that is within its quotas.

    In their order the first that is exceeded decides. Who asks for nothing of a kind is not refused
    for it, though the quota has been lowered below what is in use.
    """
    adding = update("virtual_provisioning_collection", added(new, fresh), {"id": new.silo_id})
    within = adding.expect(1)
    known = {"fresh": fresh, "silo": new.silo_id}
    for more, allowed, exceeded in (
        (new.cpus, sql(CPUS_WITHIN_QUOTA, more=new.cpus, **known), CPUS_EXCEEDED),
        (new.ram, sql(MEMORY_WITHIN_QUOTA, more=new.ram, **known), MEMORY_EXCEEDED),
        (new.disk_bytes, sql(STORAGE_WITHIN_QUOTA, more=new.disk_bytes, **known), STORAGE_EXCEEDED),
    ):
        if more:
            within = within.require(allowed, raises=InsufficientCapacity(exceeded))
    return within


def collections_add(new: Provisioning, fresh: Output) -> Batch[None]:
    """Add to the counts of the project and of the fleet."""
    both = {"id": [new.project_id, new.fleet_id]}
    return update("virtual_provisioning_collection", added(new, fresh), where=both).expect(2)


def added(new: Provisioning, fresh: Output) -> dict[str, object]:
    """What a collection counts with a resource added, if that is fresh."""
    return {
        "cpus_provisioned": sql(
            "cpus_provisioned + %(more)s * %(fresh)s", more=new.cpus, fresh=fresh
        ),
        "ram_provisioned": sql("ram_provisioned + %(more)s * %(fresh)s", more=new.ram, fresh=fresh),
        "virtual_disk_bytes_provisioned": sql(
            "virtual_disk_bytes_provisioned + %(more)s * %(fresh)s",
            more=new.disk_bytes,
            fresh=fresh,
        ),
    }
