# SPDX-License-Identifier: MIT
"""Routers: where a VPC's packets go."""

from __future__ import annotations

from batchq import Batch, insert, unique
from examples.datastore.errors import AlreadyExists
from examples.datastore.models import NewRouter, Router


def router_insert(new: NewRouter) -> Batch[Router]:
    """Insert a router."""
    return (
        insert("vpc_router", new)
        .one(Router)
        .on(unique("lookup_router_by_vpc"), AlreadyExists("router", new.name))
        .internal("vpc_router_pkey", "vpc_router_kind_known")
    )
