# SPDX-License-Identifier: MIT
"""Routers of a VPC, and their routes."""

from __future__ import annotations

from uuid import UUID

from batchq import Batch, gather, insert, sql, unique
from examples.datastore.errors import AlreadyExists, NotFound
from examples.datastore.models import NewRoute, NewRouter, Route, Router
from examples.datastore.parents import ROUTER, ROUTERS, ROUTES


def router_create(new: NewRouter) -> Batch[Router]:
    """Create a router in an existing VPC."""
    not_found = NotFound("vpc", new.vpc_id)
    return ROUTERS.add(new.vpc_id, router_insert(new), missing=not_found).label("router_create")


ROUTER_INSERT = (
    insert("vpc_router", NewRouter)
    .one(Router)
    .on(unique("lookup_router_by_vpc"), lambda v: AlreadyExists("router", v.values["name"]))
    .invariant("vpc_router_pkey", "vpc_router_kind_known")
)


def router_insert(new: NewRouter) -> Batch[Router]:
    """Insert a router."""
    return ROUTER_INSERT.bind(new)


def route_create(new: NewRoute) -> Batch[Route]:
    """Create a route of an existing router in an existing VPC: a fence hides the VPC first."""
    not_found = NotFound("router", new.router_id)
    in_a_vpc = sql(
        "SELECT 1 FROM vpc_router AS router JOIN vpc ON vpc.id = router.vpc_id "
        "WHERE router.id = %(router)s AND vpc.time_deleted IS NULL",
        router=new.router_id,
    )
    added = gather(in_a_vpc.expect(at_least=1, missing=not_found).label("vpc"), route_insert(new))
    return (
        ROUTES.add(new.router_id, added, missing=not_found)
        .map(lambda results: results[1])
        .label("route_create")
    )


def route_insert(new: NewRoute) -> Batch[Route]:
    """Insert a route."""
    return (
        insert("router_route", new)
        .one(Route)
        .on(unique("lookup_route_by_router"), AlreadyExists("route", new.name))
        .invariant("router_route_pkey")
    )


def route_list(router_id: UUID) -> Batch[list[Route]]:
    """Read all routes of a router; raise NotFound if it is deleted."""
    not_found = NotFound("router", router_id)
    return (
        gather(ROUTES.read(router_id, Route), ROUTER.read(router_id, Router, missing=not_found))
        .map(lambda read: read[0])
        .label("route_list")
    )
