# SPDX-License-Identifier: MIT
"""Subnets: the address ranges of a VPC."""

from __future__ import annotations

from uuid import UUID

from batchq import Batch, insert, sql, unique, update
from examples.datastore.errors import AlreadyExists, NotFound
from examples.datastore.models import NewSubnet, Subnet
from examples.datastore.parents import SUBNETS


def subnet_create(new: NewSubnet) -> Batch[Subnet]:
    """Create a subnet in an existing VPC."""
    not_found = NotFound("vpc", new.vpc_id)
    return SUBNETS.add(new.vpc_id, subnet_insert(new), missing=not_found).label("subnet_create")


SUBNET_INSERT = (
    insert("vpc_subnet", NewSubnet)
    .one(Subnet)
    .on(unique("vpc_subnet_vpc_id_name_key"), lambda v: AlreadyExists("subnet", v.values["name"]))
    .invariant("vpc_subnet_pkey")
)


def subnet_insert(new: NewSubnet) -> Batch[Subnet]:
    """Insert a subnet."""
    return SUBNET_INSERT.bind(new)


def subnet_delete(subnet_id: UUID) -> Batch[None]:
    """Delete a subnet. Its VPC is not locked: nothing depends on there being one less."""
    living = {"id": subnet_id, "time_deleted": None}
    return (
        update("vpc_subnet", {"time_deleted": sql("now()")}, where=living)
        .expect(1, missing=NotFound("subnet", subnet_id))
        .label("subnet_delete")
    )
