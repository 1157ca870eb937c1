# SPDX-License-Identifier: MIT
"""Subnets: the address ranges of a VPC."""

from __future__ import annotations

from batchq import Batch, insert, unique
from examples.datastore.errors import AlreadyExists
from examples.datastore.models import NewSubnet, Subnet


def subnet_insert(new: NewSubnet) -> Batch[Subnet]:
    """Insert a subnet."""
    return (
        insert("vpc_subnet", new)
        .one(Subnet)
        .on(unique("vpc_subnet_vpc_id_name_key"), AlreadyExists("subnet", new.name))
        .internal("vpc_subnet_pkey")
    )
