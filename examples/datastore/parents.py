# SPDX-License-Identifier: MIT
"""Who is whose child, said once: adding one to a parent that is gone is then a 404, and deleting a
parent that still has some is refused (schema.sql says why no foreign key does that)."""

from __future__ import annotations

from batchq import Parent

SILO = Parent(table="silo")
PROJECTS = SILO.children("project", by="silo_id")

PROJECT = Parent(table="project")
VPCS = PROJECT.children("vpc", by="project_id")
INSTANCES = PROJECT.children("instance", by="project_id")
DISKS = PROJECT.children("disk", by="project_id")

VPC = Parent(table="vpc")
SUBNETS = VPC.children("vpc_subnet", by="vpc_id")
ROUTERS = VPC.children("vpc_router", by="vpc_id")
RULES = VPC.children("vpc_firewall_rule", by="vpc_id", tombstone=None)

ROUTER = Parent(table="vpc_router")
ROUTES = ROUTER.children("router_route", by="router_id", tombstone=None)
