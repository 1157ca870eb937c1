# SPDX-License-Identifier: MIT
"""Parents and their children, declared once.

Adding a child to a deleted parent is then a 404, and deleting a parent that still has children is
refused. schema.sql explains why foreign keys cannot do that here."""

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
