# SPDX-License-Identifier: MIT
"""Resources, counted against the quotas of a silo.

Idempotent, though it adds: whether the resource is new is an output of the step that inserts it,
and each later step adds once or not at all. The steps are separate: the quotas are locked before
the sum is read, and each of them has its own error.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from attrs import frozen

from batchq import Batch, Statement, created, delete, gather, insert, select, sql, update
from batchq.types import Inserted, Output
from examples.datastore.errors import LimitExceeded

QUOTAS: Final = ("cpus", "memory", "storage")


@frozen(kw_only=True)
class Resource:
    """A resource, how much it takes, and where it is counted."""

    id: UUID
    silo_id: UUID
    project_id: UUID
    fleet_id: UUID
    cpus: int = 0
    memory: int = 0
    storage: int = 0


def provision(new: Resource) -> Batch[bool]:
    """Count a resource once. The result is whether it is new."""
    resource = resource_insert(new)
    fresh = resource.output(created(), "bool")
    return (
        gather(
            select("silo_quotas", where={"silo_id": new.silo_id})
            .for_update(strength="share")
            .expect(1, missing=LimitExceeded("quotas of", new.silo_id))
            .label("quotas"),
            resource.label("resource"),
            silo_add(new, fresh).label("silo"),
            update("provisioned", added(new, fresh), {"id": [new.project_id, new.fleet_id]})
            .expect(2)
            .label("project_and_fleet"),
        )
        .map(lambda made: made[1].created)
        .label("provision")
    )


def resource_insert(new: Resource) -> Statement[Inserted[tuple[object, ...]]]:
    """Insert the resource unless it exists."""
    counted = {"id": new.id} | {kind: getattr(new, kind) for kind in QUOTAS}
    inserted = insert("provisioned_resource", counted).on_conflict_do_update("id", set=["id"])
    return inserted.returning("id").inserted(tuple)


def silo_add(new: Resource, fresh: Output) -> Batch[None]:
    """Add to the sum of the silo, within its quotas.

    The first quota that is exceeded decides. A resource that takes nothing of a kind is not refused
    for it, even if the quota has been lowered below what is in use.
    """
    within = update("provisioned", added(new, fresh), {"id": new.silo_id}).expect(1)
    for kind in QUOTAS:
        if more := getattr(new, kind):
            allowed = sql(
                f"{kind} + %(more)s * %(fresh)s::int <="
                f" (SELECT {kind} FROM silo_quotas WHERE silo_id = %(silo)s)",
                more=more,
                fresh=fresh,
                silo=new.silo_id,
            )
            within = within.require(allowed, raises=LimitExceeded(f"{kind} of", new.silo_id))
    return within


def added(new: Resource, fresh: Output) -> dict[str, object]:
    """Return the columns of a sum with a resource added, if that is fresh."""
    return {
        kind: sql(f"{kind} + %(more)s * %(fresh)s::int", more=getattr(new, kind), fresh=fresh)
        for kind in QUOTAS
    }


def provisioned_delete(counted: UUID) -> Batch[None]:
    """Delete a sum, which has to be there and to be zero."""
    return (
        delete("provisioned", where={"id": counted})
        .expect(1)
        .require(dict.fromkeys(QUOTAS, 0))
        .label("provisioned")
    )
