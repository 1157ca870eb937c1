# SPDX-License-Identifier: MIT
"""Subnets: the blocks of addresses of a VPC, which never overlap. Part of flow 2.2."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from uuid import UUID, uuid4

from attrs import field, frozen

from batchq import Batch, gather, insert_or_get, sql, unique
from batchq.types import Inserted
from tests.flows.datastore.errors import AlreadyExists, InvalidRequest, NotFound
from tests.flows.datastore.parents import SUBNETS

DEFAULT_BLOCK = IPv4Network("172.30.0.0/22")


@frozen(kw_only=True)
class NewSubnet:
    """A subnet to create."""

    id: UUID = field(factory=uuid4)
    vpc_id: UUID
    name: str
    ipv4_block: IPv4Network
    ipv6_block: IPv6Network


@frozen
class Subnet:
    """A subnet of a VPC."""

    id: UUID
    vpc_id: UUID
    name: str
    ipv4_block: IPv4Network
    ipv6_block: IPv6Network


def subnet_create(new: NewSubnet) -> Batch[Inserted[Subnet]]:
    """Create a subnet in a VPC that is there, or get it where this is said again.

    Whoever adds a subnet bumps the VPC's generation first, and so waits for the others. That is a
    step of its own: the two that look for overlaps see what the others have added. The id is chosen
    in advance: that it is another subnet's is a bug.
    """
    same = ["vpc_id", "ipv4_block", "ipv6_block"]
    row = insert_or_get("vpc_subnet", new, Subnet, key=["id"], same=same)
    return SUBNETS.add(
        new.vpc_id,
        gather(
            overlap_v4(new),
            overlap_v6(new),
            row.on(unique("vpc_subnet_vpc_id_name_key"), AlreadyExists("vpc subnet", new.name)),
        ).map(lambda made: made[2]),
        missing=NotFound("vpc", new.vpc_id),
    )


def overlap_v4(new: NewSubnet) -> Batch[None]:
    """Refuse a subnet whose IPv4 addresses are another's."""
    overlapping = sql(
        """
        SELECT 1 FROM vpc_subnet
        WHERE vpc_id = %(vpc)s AND time_deleted IS NULL AND id <> %(id)s AND ipv4_block && %(block)s
        """,
        vpc=new.vpc_id,
        id=new.id,
        block=new.ipv4_block,
    )
    return overlapping.expect(0, unexpected=_conflict(new.ipv4_block)).label("ipv4")


def overlap_v6(new: NewSubnet) -> Batch[None]:
    """Refuse a subnet whose IPv6 addresses are another's."""
    overlapping = sql(
        """
        SELECT 1 FROM vpc_subnet
        WHERE vpc_id = %(vpc)s AND time_deleted IS NULL AND id <> %(id)s AND ipv6_block && %(block)s
        """,
        vpc=new.vpc_id,
        id=new.id,
        block=new.ipv6_block,
    )
    return overlapping.expect(0, unexpected=_conflict(new.ipv6_block)).label("ipv6")


def _conflict(block: IPv4Network | IPv6Network) -> InvalidRequest:
    return InvalidRequest(f"IP address range '{block}' conflicts with an existing subnet")
