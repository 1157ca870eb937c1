# SPDX-License-Identifier: MIT
"""VPCs: a project's private networks, each with a router, a subnet and firewall rules."""

from __future__ import annotations

from ipaddress import IPv4Network
from uuid import UUID

from batchq import Batch, gather, insert, into, sequence, sql, unique
from examples.datastore.errors import AlreadyExists, NotFound
from examples.datastore.firewall import default_rules, rule_insert
from examples.datastore.limits import limits_take_vpc
from examples.datastore.models import NewRouter, NewSubnet, NewVpc, Vpc, VpcCreated, VpcView
from examples.datastore.parents import VPC, VPCS
from examples.datastore.router import router_insert
from examples.datastore.subnet import subnet_insert

DEFAULT_BLOCK = IPv4Network("172.30.0.0/22")


def vpc_create(new: NewVpc) -> Batch[VpcCreated]:
    """Create a VPC in an existing project, and count it against the project's limit."""
    not_found = NotFound("project", new.project_id)
    return (
        gather(
            VPCS.add(new.project_id, vpc_with_defaults(new), missing=not_found),
            limits_take_vpc(new.project_id).label("limit"),
        )
        .map(lambda made: made[0])
        .label("vpc_create")
    )


def vpc_fetch(vpc_id: UUID) -> Batch[Vpc]:
    """Read a VPC that is not deleted."""
    return VPC.read(vpc_id, Vpc, missing=NotFound("vpc", vpc_id)).label("vpc_fetch")


def vpc_view(vpc_id: UUID) -> Batch[VpcView]:
    """Read a VPC and count its routes and rules.

    The VPC is read last: if it is not deleted then, it was not when its children were counted, and
    none of them had been deleted yet.
    """
    routes = sql(
        "SELECT count(*) FROM router_route AS route "
        "JOIN vpc_router AS router ON router.id = route.router_id WHERE router.vpc_id = %(vpc)s",
        vpc=vpc_id,
    )
    rules = sql("SELECT count(*) FROM vpc_firewall_rule WHERE vpc_id = %(vpc)s", vpc=vpc_id)
    return (
        gather(
            routes.scalar(int).label("routes"),
            rules.scalar(int).label("rules"),
            VPC.read(vpc_id, Vpc, missing=NotFound("vpc", vpc_id)),
        )
        .map(lambda read: VpcView(read[2], *read[:2]))
        .label("vpc_view")
    )


VPC_INSERT = (
    insert("vpc", NewVpc)
    .one(Vpc)
    .on(unique("lookup_vpc_by_project"), lambda v: AlreadyExists("vpc", v.values["name"]))
    .invariant("vpc_pkey", "vpc_system_router_id_fkey")
)


def vpc_insert(new: NewVpc) -> Batch[Vpc]:
    """Insert the VPC alone; its router has to follow in the same batch."""
    return VPC_INSERT.bind(new)


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
