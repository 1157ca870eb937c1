# SPDX-License-Identifier: MIT
"""Rows of the tables. ``NewProject`` holds what a caller specifies, ``Project`` is the row.

A field is a column of the same name. Ids are generated here and not by the database, so that the
first statement of a batch can use an id that its last one inserts.
"""

from __future__ import annotations

from datetime import datetime
from ipaddress import IPv4Network
from uuid import UUID, uuid4

from attrs import field, frozen

from examples.datastore.fleet import FLEET


@frozen(kw_only=True)
class NewSilo:
    """A tenant to create."""

    id: UUID = field(factory=uuid4)
    name: str


@frozen
class Silo:
    """A tenant, which has projects."""

    id: UUID
    name: str
    rcgen: int
    time_created: datetime


@frozen(kw_only=True)
class NewProject:
    """A project to create."""

    id: UUID = field(factory=uuid4)
    silo_id: UUID
    name: str
    description: str = ""


@frozen
class Project:
    """A project."""

    id: UUID
    silo_id: UUID
    name: str
    description: str
    rcgen: int
    time_created: datetime


@frozen(kw_only=True)
class NewVpc:
    """A virtual private cloud to create, with the id that its system router will have."""

    id: UUID = field(factory=uuid4)
    project_id: UUID
    system_router_id: UUID = field(factory=uuid4)
    name: str


@frozen
class Vpc:
    """A virtual private cloud."""

    id: UUID
    project_id: UUID
    system_router_id: UUID
    name: str
    rcgen: int
    time_created: datetime


@frozen(kw_only=True)
class NewRouter:
    """A router to create."""

    id: UUID = field(factory=uuid4)
    vpc_id: UUID
    kind: str
    name: str


@frozen
class Router:
    """A router of a VPC."""

    id: UUID
    vpc_id: UUID
    kind: str
    name: str
    time_created: datetime


@frozen(kw_only=True)
class NewRoute:
    """A route to create."""

    id: UUID = field(factory=uuid4)
    router_id: UUID
    name: str
    destination: IPv4Network
    target: str
    description: str = ""
    row_version: int = FLEET.version


@frozen
class Route:
    """A route of a router: where packets for some addresses go."""

    id: UUID
    router_id: UUID
    name: str
    destination: IPv4Network
    target: str
    description: str
    time_created: datetime


@frozen(kw_only=True)
class NewSubnet:
    """A subnet to create."""

    id: UUID = field(factory=uuid4)
    vpc_id: UUID
    name: str
    ipv4_block: IPv4Network


@frozen
class Subnet:
    """A subnet of a VPC."""

    id: UUID
    vpc_id: UUID
    name: str
    ipv4_block: IPv4Network
    time_created: datetime


@frozen(kw_only=True)
class NewFirewallRule:
    """A firewall rule to create."""

    id: UUID = field(factory=uuid4)
    vpc_id: UUID
    name: str
    direction: str
    action: str
    protocols: list[str]
    priority: int


@frozen
class FirewallRule:
    """A firewall rule of a VPC."""

    id: UUID
    vpc_id: UUID
    name: str
    direction: str
    action: str
    protocols: list[str]
    priority: int
    time_created: datetime


@frozen
class VpcView:
    """A VPC, and how many routes and rules it has."""

    vpc: Vpc
    routes: int
    rules: int


@frozen
class VpcCreated:
    """A new VPC with its default router, subnet and rules."""

    vpc: Vpc
    router: Router
    subnet: Subnet
    rules: list[FirewallRule]


@frozen
class ProjectCreated:
    """A new project with its default VPC."""

    project: Project
    default_vpc: VpcCreated
