# SPDX-License-Identifier: MIT
"""Delete a VPC, which may have a million firewall rules: at once, or in chunks after a fence.

The fence hides the VPC, frees its name and credits its limit; workers then delete its rules and
routes in chunks. A VPC with subnets is not deleted: machines are attached to them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from batchq import Batch, Statement, format_error, gather
from batchq.bulk import ChildDelete, DeleteTree
from examples.datastore.errors import NotFound, Refused, VpcHasSubnets
from examples.datastore.limits import limits_give_back_vpc
from examples.datastore.models import Vpc
from examples.datastore.parents import ROUTERS, ROUTES, RULES, SUBNETS, VPC

T = TypeVar("T")


def _no_subnet(vpc_id: UUID) -> Statement[None]:
    subnet_exists = format_error(VpcHasSubnets, "the vpc contains a subnet: {name}")
    return SUBNETS.forbid(vpc_id, unexpected=subnet_exists)


# Routers and the VPC are soft-deleted: the VPC's foreign key refers to one of the routers, and this
# schema keeps such rows as its history (schema.sql).
TREE = DeleteTree(
    name="vpc",
    parent=VPC,
    children=[
        ChildDelete(relation=ROUTERS, children=[ChildDelete(relation=ROUTES, order="name")]),
        ChildDelete(relation=RULES, order="name"),
    ],
    guards=[_no_subnet],
    hard=False,
)


def vpc_delete(vpc: Vpc) -> Batch[int]:
    """Delete a VPC, unchanged since the caller read it, with its rules, routers and routes.

    :return: the number of rows deleted.
    :raises TooManyRows: when run, if it needs chunks: call :func:`vpc_fence` instead.
    """
    return _delete_by(vpc, TREE.delete_now).label("vpc_delete")


def vpc_fence(vpc: Vpc) -> Batch[UUID]:
    """Hide a VPC, unchanged since the caller read it, and create a job for the rest.

    :return: id of the job.
    """
    return _delete_by(vpc, TREE.fence).label("vpc_fence")


def _delete_by(vpc: Vpc, delete: Callable[..., Batch[T]]) -> Batch[T]:
    return gather(
        delete(
            vpc.id,
            missing=NotFound("vpc", vpc.id),
            generation=vpc.rcgen,
            stale=Refused("deletion failed due to concurrent modification"),
        ),
        limits_give_back_vpc(vpc.project_id).label("limit"),
    ).map(lambda results: results[0])
