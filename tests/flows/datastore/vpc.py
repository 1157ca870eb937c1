# SPDX-License-Identifier: MIT
"""VPCs, with all that each begins with: flows 2.2 and 2.3."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv6Network
from typing import Any, TypeVar
from uuid import UUID, uuid4

import attrs
from attrs import field, frozen
from psycopg import Connection

from batchq import Batch, Statement, gather, insert, into, not_null, run, select, sql, unique
from tests.flows.datastore.errors import (
    AlreadyExists,
    InsufficientCapacity,
    InvalidRequest,
    NotFound,
)
from tests.flows.datastore.firewall import FirewallRule, default_rules, firewall_rules_replace
from tests.flows.datastore.gateway import Gateway, NewGateway, gateway_insert
from tests.flows.datastore.parents import SUBNETS, VPC_OF_SUBNETS, VPCS
from tests.flows.datastore.router import (
    NewRoute,
    NewRouter,
    Route,
    Router,
    route_create,
    router_delete,
    router_insert,
)
from tests.flows.datastore.subnet import DEFAULT_BLOCK, NewSubnet, Subnet, subnet_create

T = TypeVar("T")

DEFAULT_PREFIX = IPv6Network("fd00:1122:3344::/48")


@frozen(kw_only=True)
class NewVpc:
    """A VPC to create, with the ids that its system router and default subnet will have."""

    id: UUID = field(factory=uuid4)
    project_id: UUID
    system_router_id: UUID = field(factory=uuid4)
    name: str
    description: str = ""
    dns_name: str
    ipv6_prefix: IPv6Network = DEFAULT_PREFIX


@frozen
class Vpc:
    """A VPC."""

    id: UUID
    project_id: UUID
    system_router_id: UUID
    name: str
    dns_name: str
    vni: int
    ipv6_prefix: IPv6Network
    subnet_gen: int


@frozen
class VpcCreated:
    """A VPC, and what comes with it."""

    vpc: Vpc
    router: Router
    route_v4: Route
    route_v6: Route
    subnet: Subnet
    subnet_route: Route
    rules: list[FirewallRule]
    gateway: Gateway


class VniRangeExhausted(Exception):
    """Every VNI of this range is taken: the next range may do."""


def vpc_create(new: NewVpc, vnis: range) -> Batch[VpcCreated]:
    """Create a VPC in a project that is there, with router, routes, subnet, rules and gateway.

    :param vnis: where to look for a free VNI. When there is none the batch fails with
        VniRangeExhausted, and the caller tries the next range; see ``with_free_vni``.
    """
    subnet = NewSubnet(
        vpc_id=new.id,
        name="default",
        ipv4_block=DEFAULT_BLOCK,
        ipv6_block=next(new.ipv6_prefix.subnets(new_prefix=64)),
    )
    router_id = new.system_router_id
    return into(
        VpcCreated,
        vpc=VPCS.add(
            new.project_id, vpc_insert(new, vnis), missing=NotFound("project", new.project_id)
        ),
        router=router_insert(NewRouter(id=router_id, vpc_id=new.id, kind="system", name="system")),
        route_v4=route_create(NewRoute.default(router_id, "default-v4", "0.0.0.0/0")),
        route_v6=route_create(NewRoute.default(router_id, "default-v6", "::/0")),
        subnet=subnet_create(subnet).map(lambda got: got.row),
        subnet_route=route_create(NewRoute.to_subnet(router_id, subnet.id, subnet.name)),
        rules=firewall_rules_replace(new.id, default_rules(new.id)),
        gateway=gateway_insert(NewGateway(vpc_id=new.id, name="default")),
    ).label("vpc_create")


def vpc_insert(new: NewVpc, vnis: range) -> Batch[Vpc]:
    """Insert the VPC alone, with a VNI that the server picks."""
    return (
        insert("vpc", {**attrs.asdict(new, recurse=False), "vni": free_vni(vnis)})
        .one(Vpc)
        .on(unique("lookup_vpc_by_project"), AlreadyExists("vpc", new.name))
        .on(not_null("vni"), VniRangeExhausted)
        .invariant("vpc_pkey", "lookup_vpc_by_vni")
    )


def free_vni(vnis: range) -> Statement[None]:
    """The first VNI of a range that no living VPC has; NULL where there is none.

    Two who look at the same time find the same one, and ``lookup_vpc_by_vni`` refuses the second.
    """
    return sql(
        """
        SELECT candidate FROM generate_series(%(first)s::int4, %(last)s::int4) AS candidate
        WHERE NOT EXISTS (SELECT FROM vpc WHERE vni = candidate AND time_deleted IS NULL)
        ORDER BY candidate LIMIT 1
        """,
        first=vnis.start,
        last=vnis[-1],
    )


def with_free_vni(
    conn: Connection[Any], create: Callable[[range], Batch[T]], ranges: Iterable[range]
) -> T:
    """Run a batch that needs a VNI on one range after the other, until one has a free one.

    :raises InsufficientCapacity: when none has.
    """
    for vnis in ranges:
        try:
            return run(conn, create(vnis))
        except VniRangeExhausted:
            continue
    raise InsufficientCapacity("No free virtual network was found")


def vpc_fetch(vpc_id: UUID) -> Batch[Vpc]:
    """Read a living VPC."""
    return (
        select("vpc", where={"id": vpc_id, "time_deleted": None})
        .one(Vpc)
        .expect(1, missing=NotFound("vpc", vpc_id))
        .label("vpc_fetch")
    )


def vpc_delete(vpc: Vpc) -> Batch[None]:
    """Delete a VPC as the caller has seen it, with its router, unless it has subnets.

    Its routes and rules stay behind, hidden: there may be any number, so that is a job's work.
    """
    return (
        gather(
            VPC_OF_SUBNETS.delete(
                vpc.id,
                missing=NotFound("vpc", vpc.id),
                guards=[
                    SUBNETS.forbid(
                        vpc.id,
                        unexpected=InvalidRequest("VPC cannot be deleted while VPC Subnets exist"),
                    )
                ],
                generation=vpc.subnet_gen,
                stale=InvalidRequest("deletion failed due to concurrent modification"),
            ),
            router_delete(vpc.system_router_id).label("router"),
        )
        .map(lambda _: None)
        .label("vpc_delete")
    )
