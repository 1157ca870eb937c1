# SPDX-License-Identifier: MIT
"""Silos: tenants, each with its projects."""

from __future__ import annotations

from batchq import Batch, gather, insert, unique
from examples.datastore.errors import AlreadyExists
from examples.datastore.limits import limits_insert
from examples.datastore.models import NewSilo, Silo


def silo_create(new: NewSilo, *, projects: int) -> Batch[Silo]:
    """Create a silo with a limit of this many projects."""
    return (
        gather(
            insert("silo", new)
            .one(Silo)
            .on(unique("lookup_silo_by_name"), AlreadyExists("silo", new.name))
            .invariant("silo_pkey"),
            limits_insert(new.id, projects=projects),
        )
        .map(lambda made: made[0])
        .label("silo_create")
    )
