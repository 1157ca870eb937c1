# SPDX-License-Identifier: MIT
"""Internet gateways: how a VPC reaches the world. Part of flow 2.2."""

from __future__ import annotations

from uuid import UUID, uuid4

from attrs import field, frozen

from batchq import Batch, insert, unique
from tests.flows.datastore.errors import AlreadyExists


@frozen(kw_only=True)
class NewGateway:
    """An internet gateway to create."""

    id: UUID = field(factory=uuid4)
    vpc_id: UUID
    name: str


@frozen
class Gateway:
    """An internet gateway of a VPC."""

    id: UUID
    vpc_id: UUID
    name: str


def gateway_insert(new: NewGateway) -> Batch[Gateway]:
    """Insert an internet gateway."""
    return (
        insert("internet_gateway", new)
        .one(Gateway)
        .on(
            unique("lookup_internet_gateway_by_vpc"),
            AlreadyExists("internet gateway", new.name),
        )
        .invariant("internet_gateway_pkey")
    )
