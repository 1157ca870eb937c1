# SPDX-License-Identifier: MIT
"""Routers and their routes: where a VPC's packets go. Part of flows 2.2 and 2.3."""

from __future__ import annotations

from uuid import UUID, uuid4

from attrs import field, frozen

from batchq import Batch, insert, sql, unique, update
from tests.flows.datastore.errors import AlreadyExists, NotFound
from tests.flows.datastore.parents import ROUTES


@frozen(kw_only=True)
class NewRouter:
    """A router to create."""

    id: UUID = field(factory=uuid4)
    vpc_id: UUID
    kind: str
    name: str


@frozen
class Router:
    """A router of a VPC, before it has routes."""

    id: UUID
    vpc_id: UUID
    kind: str
    name: str


@frozen(kw_only=True)
class NewRoute:
    """A route to create."""

    id: UUID = field(factory=uuid4)
    vpc_router_id: UUID
    kind: str
    name: str
    target: str
    destination: str
    vpc_subnet_id: UUID | None = None

    @classmethod
    def default(cls, router_id: UUID, name: str, destination: str) -> NewRoute:
        """A route to the world."""
        return cls(
            vpc_router_id=router_id,
            kind="default",
            name=name,
            target="inetgw:default",
            destination=f"ipnet:{destination}",
        )

    @classmethod
    def to_subnet(cls, router_id: UUID, subnet_id: UUID, name: str) -> NewRoute:
        """The route that each subnet has."""
        return cls(
            vpc_router_id=router_id,
            kind="vpc_subnet",
            name=name,
            target=f"subnet:{name}",
            destination=f"subnet:{name}",
            vpc_subnet_id=subnet_id,
        )


@frozen
class Route:
    """A route of a router."""

    id: UUID
    vpc_router_id: UUID
    kind: str
    name: str
    target: str
    destination: str
    vpc_subnet_id: UUID | None


def router_insert(new: NewRouter) -> Batch[Router]:
    """Insert a router."""
    return (
        insert("vpc_router", new)
        .one(Router)
        .on(unique("lookup_router_by_vpc"), AlreadyExists("router", new.name))
        .invariant("vpc_router_pkey")
    )


def router_delete(router_id: UUID) -> Batch[None]:
    """Delete the router of a VPC that is being deleted. That it is not there is a bug."""
    living = {"id": router_id, "time_deleted": None}
    return update("vpc_router", {"time_deleted": sql("now()")}, where=living).expect(1)


def route_create(new: NewRoute) -> Batch[Route]:
    """Create a route on a router that is there."""
    return ROUTES.add(
        new.vpc_router_id,
        insert("router_route", new)
        .one(Route)
        .on(unique("lookup_route_by_router"), AlreadyExists("route", new.name))
        .invariant("router_route_pkey", "lookup_subnet_route_by_id", "non_null_vpc_subnet"),
        missing=NotFound("router", new.vpc_router_id),
    )
