# SPDX-License-Identifier: MIT
"""VPCs: a project's private networks, each with a router, a subnet and firewall rules."""

from __future__ import annotations

from ipaddress import IPv4Network

from batchq import Batch, insert, into, sequence, unique
from examples.datastore.errors import AlreadyExists, NotFound
from examples.datastore.firewall import default_rules, rule_insert
from examples.datastore.models import NewRouter, NewSubnet, NewVpc, Vpc, VpcCreated
from examples.datastore.parents import VPCS
from examples.datastore.router import router_insert
from examples.datastore.subnet import subnet_insert

DEFAULT_BLOCK = IPv4Network("172.30.0.0/22")


def vpc_create(new: NewVpc) -> Batch[VpcCreated]:
    """Create a VPC in a project that is there."""
    gone = NotFound("project", new.project_id)
    return VPCS.add(new.project_id, vpc_with_defaults(new), gone=gone).label("vpc_create")


def vpc_insert(new: NewVpc) -> Batch[Vpc]:
    """Insert the VPC alone; its router has to follow in the same batch."""
    return (
        insert("vpc", new)
        .one(Vpc)
        .on(unique("lookup_vpc_by_project"), AlreadyExists("vpc", new.name))
        .internal("vpc_pkey", "vpc_system_router_id_fkey")
    )


def vpc_with_defaults(new: NewVpc) -> Batch[VpcCreated]:
    """Insert a VPC with its system router, default subnet and default firewall rules."""
    return into(
        VpcCreated,
        vpc=vpc_insert(new),
        router=router_insert(
            NewRouter(id=new.system_router_id, vpc_id=new.id, kind="system", name="system")
        ),
        subnet=subnet_insert(NewSubnet(vpc_id=new.id, name="default", ipv4_block=DEFAULT_BLOCK)),
        rules=sequence(map(rule_insert, default_rules(new.id))),
    )
