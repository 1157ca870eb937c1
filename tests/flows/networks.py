# SPDX-License-Identifier: MIT
"""VPCs with routes and a number of the network, subnets that do not overlap, and firewall rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar
from uuid import UUID

from psycopg import Connection

from batchq import (
    Batch,
    Statement,
    format_error,
    gather,
    insert,
    insert_or_get,
    not_null,
    run,
    select,
    sequence,
    sql,
    unique,
)
from batchq.conditions import ne
from batchq.hierarchy import Parent
from batchq.types import Inserted
from examples.datastore.errors import AlreadyExists, LimitExceeded, NotFound, Refused
from examples.datastore.models import (
    FirewallRule,
    NewFirewallRule,
    NewProject,
    NewRoute,
    NewSubnet,
    NewVpc,
    Subnet,
    VpcCreated,
)
from examples.datastore.parents import SUBNETS
from examples.datastore.project import project_insert
from examples.datastore.router import route_create
from examples.datastore.vpc import DEFAULT_BLOCK, vpc_create

T = TypeVar("T")

VPC_OF_RULES = Parent(table="vpc", key="id", deleted_at="time_deleted", generation="firewall_gen")
RULES = VPC_OF_RULES.children("vpc_firewall_rule", by="vpc_id", deleted_at=None)


class VniRangeExhausted(Exception):
    """Each VNI of this range is taken: the next range may have a free one."""


def network_create(new: NewVpc, vnis: range) -> Batch[VpcCreated]:
    """Create a VPC with a VNI, and two routes on its router.

    :param vnis: where to look for a free VNI; see ``with_free_vni``.
    """
    routes = (
        NewRoute(router_id=new.system_router_id, name=name, destination=DEFAULT_BLOCK, target="gw")
        for name in ("default-v4", "default-v6")
    )
    return (
        gather(
            vpc_create(new).label("vpc"),
            vni_take(new.id, vnis).label("vni"),
            sequence(map(route_create, routes)).label("routes"),
        )
        .map(lambda made: made[0])
        .label("network_create")
    )


def project_with_network(new: NewProject, vnis: range) -> Batch[None]:
    """Create a project with a network, whose failures are bugs here: it is the first in it."""
    network = network_create(NewVpc(project_id=new.id, name="default"), vnis)
    return (
        gather(
            project_insert(new).label("project"),
            network.as_invariant("creating the default network").on(
                not_null("vni"), VniRangeExhausted
            ),
        )
        .map(lambda _: None)
        .label("project")
    )


def vni_take(vpc_id: UUID, vnis: range) -> Batch[None]:
    """Give a VPC the first VNI that no other has; NULL, which the column refuses, if none is free.

    Two sessions that look at the same time find the same one, and the second violates the key.
    """
    free = sql(
        """
        SELECT candidate FROM generate_series(%(first)s::int4, %(last)s::int4) AS candidate
        WHERE NOT EXISTS (SELECT FROM vpc_vni WHERE vni = candidate)
        ORDER BY candidate LIMIT 1
        """,
        first=vnis.start,
        last=vnis[-1],
    )
    return (
        insert("vpc_vni", {"vpc_id": vpc_id, "vni": free})
        .on(not_null("vni"), VniRangeExhausted)
        .invariant("vpc_vni_pkey", "vpc_vni_vni_key")
    )


def with_free_vni(
    conn: Connection[Any], create: Callable[[range], Batch[T]], ranges: Iterable[range]
) -> T:
    """Run a batch that needs a VNI on one range after another, until one has a free one."""
    for vnis in ranges:
        try:
            return run(conn, create(vnis))
        except VniRangeExhausted:
            continue
    raise LimitExceeded("vnis of", "all ranges")


def subnet_create(new: NewSubnet) -> Batch[Inserted[Subnet]]:
    """Create a subnet that overlaps no other of its VPC, or get it.

    Adding a subnet increments the VPC's generation first, and so waits for other sessions that do.
    It is a step of its own: the one that looks for overlaps sees what they have added.
    """
    others = {"vpc_id": new.vpc_id, "time_deleted": None, "id": ne(new.id)}
    overlapping = select(
        "vpc_subnet", where=[others, sql("ipv4_block && %(block)s", block=new.ipv4_block)]
    )
    row = insert_or_get("vpc_subnet", new, Subnet, key=["id"], same=["vpc_id", "ipv4_block"])
    taken = AlreadyExists("subnet", new.name)
    return SUBNETS.add(
        new.vpc_id,
        gather(
            overlapping.expect(0, unexpected=Refused(f"{new.ipv4_block} overlaps")).label("ipv4"),
            row.on(unique("vpc_subnet_vpc_id_name_key"), taken),
        ).map(lambda made: made[1]),
        missing=NotFound("vpc", new.vpc_id),
    ).label("subnet_create")


RULE_INSERT = insert("vpc_firewall_rule", NewFirewallRule).invariant(
    "vpc_firewall_rule_pkey",
    "vpc_firewall_rule_direction_known",
    "vpc_firewall_rule_action_known",
    "vpc_firewall_rule_priority_in_range",
)


def rules_replace(vpc_id: UUID, rules: Collection[NewFirewallRule]) -> Batch[list[FirewallRule]]:
    """Replace all firewall rules of a VPC; return the new ones in the order of their names.

    The VPC is changed first, even for an empty list: a deleted one is a 404, and a session that
    replaces them at the same time waits, and then finds these. A rule that stays keeps its id.

    :raises AlreadyExists: for two rules of one name.
    """
    named = Counter(rule.name for rule in rules)
    for name, count in named.items():
        if count > 1:
            raise AlreadyExists("firewall rule", name)
    new = [RULE_INSERT.bind(rule).label(rule.name) for rule in rules]
    missing, keep = NotFound("vpc", vpc_id), ["id"]
    return (
        gather(
            RULES.replace(vpc_id, new, by="name", keep=keep, missing=missing),
            select("vpc_firewall_rule", where={"vpc_id": vpc_id}, order_by="name").all(
                FirewallRule
            ),
        )
        .map(lambda done: done[1])
        .label("rules_replace")
    )


def rules_replace_seen(
    vpc_id: UUID, rules: Collection[NewFirewallRule], *, firewall_gen: int
) -> Batch[list[FirewallRule]]:
    """Replace the firewall rules that the caller has seen, and no later ones."""
    changed = format_error(Refused, "the firewall rules are at generation {firewall_gen} now")
    seen = VPC_OF_RULES.lock(vpc_id, missing=NotFound("vpc", vpc_id)).require(
        {"firewall_gen": firewall_gen}, raises=changed
    )
    return gather(seen, rules_replace(vpc_id, rules)).map(lambda made: made[1])


def vni_of(vpc_id: UUID) -> Statement[int]:
    """Read the VNI of a VPC."""
    return select("vpc_vni", ["vni"], where={"vpc_id": vpc_id}).scalar(int)
