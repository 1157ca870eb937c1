# SPDX-License-Identifier: MIT
"""VPCs: a project's private networks, each with a router, a subnet and firewall rules."""

from __future__ import annotations

from ipaddress import IPv4Network
from uuid import UUID

from batchq import Batch, gather, insert, into, row, sequence, sql, unique
from examples.datastore.errors import AlreadyExists, NotFound
from examples.datastore.firewall import DEFAULT_RULES, RULE_INSERT
from examples.datastore.limits import TAKE_VPC
from examples.datastore.models import NewVpc, Vpc, VpcCreated, VpcView
from examples.datastore.parents import VPC, VPCS
from examples.datastore.router import ROUTER_INSERT
from examples.datastore.subnet import SUBNET_INSERT

DEFAULT_BLOCK = IPv4Network("172.30.0.0/22")


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


VPC_WITH_DEFAULTS = into(
    VpcCreated,
    vpc=VPC_INSERT,
    router=ROUTER_INSERT.partial(
        id=row(NewVpc).system_router_id, vpc_id=row(NewVpc).id, kind="system", name="system"
    ),
    subnet=SUBNET_INSERT.partial(vpc_id=row(NewVpc).id, name="default", ipv4_block=DEFAULT_BLOCK),
    rules=sequence(RULE_INSERT.partial(vpc_id=row(NewVpc).id, **rule) for rule in DEFAULT_RULES),
).takes(NewVpc)
VPC_CREATE = (
    gather(
        VPCS.add(
            row(NewVpc).project_id,
            VPC_WITH_DEFAULTS,
            missing=lambda v: NotFound("project", v.values["id"]),
        ),
        TAKE_VPC.partial(project=row(NewVpc).project_id).label("limit"),
    )
    .map(lambda made: made[0])
    .label("vpc_create")
    .takes(NewVpc)
)


def vpc_create(new: NewVpc) -> Batch[VpcCreated]:
    """Create a VPC in an existing project, and count it against the project's limit."""
    return VPC_CREATE.bind(new)


def vpc_with_defaults(new: NewVpc) -> Batch[VpcCreated]:
    """Insert a VPC with its system router, default subnet and default firewall rules."""
    return VPC_WITH_DEFAULTS.bind(new)
