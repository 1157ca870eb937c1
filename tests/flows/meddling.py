# SPDX-License-Identifier: MIT
"""What can come between the steps of a VPC's creation, and what is then said: to a caller who
creates that VPC. Inside a project's creation each of these is a bug."""

from __future__ import annotations

from typing import NamedTuple

from batchq import InvariantViolation
from tests.flows.datastore.errors import AlreadyExists, InvalidRequest, NotFound


class Meddling(NamedTuple):
    """What is done when a row is inserted into a table, and the error that the flow ends in."""

    table: str
    statement: str
    error: type[Exception]
    says: str | None
    at: str


_V6 = "fd00:1122:3344::/64"
_ROUTE = """
INSERT INTO router_route (id, name, vpc_router_id, kind, target, destination, vpc_subnet_id)
VALUES (gen_random_uuid(), 'default-v6', {}, {}, '', '', {})
"""
_SUBNET = """
INSERT INTO vpc_subnet (id, name, vpc_id, ipv4_block, ipv6_block)
VALUES (gen_random_uuid(), '{}', NEW.id, '{}', '{}')
"""

MEDDLING = {
    "lookup_router_by_vpc": Meddling(
        "vpc",
        "INSERT INTO vpc_router (id, name, kind, vpc_id)"
        "VALUES (gen_random_uuid(), 'system', 'system', NEW.id)",
        AlreadyExists,
        'already exists: router "system"',
        "router",
    ),
    "the router is gone": Meddling(
        "vpc_router",
        "UPDATE vpc_router SET time_deleted = now()",
        NotFound,
        None,
        "route_v4/vpc_router",
    ),
    "lookup_route_by_router": Meddling(
        "vpc_router",
        _ROUTE.format("NEW.id", "'default'", "NULL"),
        AlreadyExists,
        'already exists: route "default-v6"',
        "route_v6",
    ),
    "the vpc is gone": Meddling(
        "vpc_router", "UPDATE vpc SET time_deleted = now()", NotFound, None, "subnet/vpc"
    ),
    "the IPv4 block overlaps": Meddling(
        "vpc",
        _SUBNET.format("other", "172.30.2.0/24", "fd01::/64"),
        InvalidRequest,
        "IP address range '172.30.0.0/22' conflicts with an existing subnet",
        "subnet/ipv4",
    ),
    "the IPv6 block overlaps": Meddling(
        "vpc",
        _SUBNET.format("other", "10.0.0.0/24", "fd00::/16"),
        InvalidRequest,
        f"IP address range '{_V6}' conflicts with an existing subnet",
        "subnet/ipv6",
    ),
    "vpc_subnet_vpc_id_name_key": Meddling(
        "vpc",
        _SUBNET.format("default", "10.0.0.0/24", "fd01::/64"),
        AlreadyExists,
        'already exists: vpc subnet "default"',
        "subnet/insert",
    ),
    "lookup_subnet_route_by_id": Meddling(
        "vpc_subnet",
        _ROUTE.format("gen_random_uuid()", "'vpc_subnet'", "NEW.id"),
        InvariantViolation,
        None,
        "subnet_route",
    ),
    "lookup_internet_gateway_by_vpc": Meddling(
        "vpc",
        "INSERT INTO internet_gateway (id, name, vpc_id)"
        "VALUES (gen_random_uuid(), 'default', NEW.id)",
        AlreadyExists,
        'already exists: internet gateway "default"',
        "gateway",
    ),
}
