# SPDX-License-Identifier: MIT
"""Deleting a VPC, of which there may be a million firewall rules: at once, or behind a fence.

From the fence on nobody finds the VPC, its name is free and its room is given back; its rules and
routes go in chunks, by whoever sweeps. Subnets are in the way: there are machines in them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from batchq import Batch, Statement, gather, saying
from batchq.bulk import Drain, Tree
from examples.datastore.errors import NotFound, Refused, VpcHasSubnets
from examples.datastore.limits import limits_give_back_vpc
from examples.datastore.models import Vpc
from examples.datastore.parents import ROUTERS, ROUTES, RULES, SUBNETS, VPC

T = TypeVar("T")


def _no_subnet(vpc_id: UUID) -> Statement[None]:
    in_the_way = saying(VpcHasSubnets, "the vpc contains a subnet: {name}")
    return SUBNETS.forbid(vpc_id, else_=in_the_way)


# Routers are hidden and not removed, and so is the VPC: its foreign key is to one of them, and
# tombstones are how this schema remembers (schema.sql).
TREE = Tree(
    name="vpc",
    parent=VPC,
    drains=[
        Drain(children=ROUTERS, below=[Drain(children=ROUTES, order="name")]),
        Drain(children=RULES, order="name"),
    ],
    childless=[_no_subnet],
    removes=False,
)


def vpc_delete(vpc: Vpc) -> Batch[int]:
    """Delete a VPC as the caller has seen it, with all its rules, routers and routes.

    :return: how many of these.
    :raises TooMany: when run, where it takes chunks: then :func:`vpc_fence` it.
    """
    return _ended(vpc, TREE.at_once).label("vpc_delete")


def vpc_fence(vpc: Vpc) -> Batch[UUID]:
    """Hide a VPC as the caller has seen it, and leave the rest to a job.

    :return: the job's id.
    """
    return _ended(vpc, TREE.fence).label("vpc_fence")


def _ended(vpc: Vpc, how: Callable[..., Batch[T]]) -> Batch[T]:
    return gather(
        how(
            vpc.id,
            gone=NotFound("vpc", vpc.id),
            generation=vpc.rcgen,
            stale=Refused("deletion failed due to concurrent modification"),
        ),
        limits_give_back_vpc(vpc.project_id).label("limit"),
    ).map(lambda ended: ended[0])
