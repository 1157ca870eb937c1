# SPDX-License-Identifier: MIT
"""Parents and their children, declared once.

Adding a child to a deleted parent is then a 404, and deleting a parent that still has children is
refused. schema.sql explains why foreign keys cannot do that here."""

from __future__ import annotations

from batchq.hierarchy import Parent

SILO = Parent(table="silo", key="id", deleted_at="time_deleted", generation="rcgen")
PROJECTS = SILO.children("project", by="silo_id", deleted_at="time_deleted")

PROJECT = Parent(table="project", key="id", deleted_at="time_deleted", generation="rcgen")
VPCS = PROJECT.children("vpc", by="project_id", deleted_at="time_deleted")
INSTANCES = PROJECT.children("instance", by="project_id", deleted_at="time_deleted")
DISKS = PROJECT.children("disk", by="project_id", deleted_at="time_deleted")

VPC = Parent(table="vpc", key="id", deleted_at="time_deleted", generation="rcgen")
SUBNETS = VPC.children("vpc_subnet", by="vpc_id", deleted_at="time_deleted")
ROUTERS = VPC.children("vpc_router", by="vpc_id", deleted_at="time_deleted")
RULES = VPC.children("vpc_firewall_rule", by="vpc_id", deleted_at=None)

ROUTER = Parent(table="vpc_router", key="id", deleted_at="time_deleted", generation="rcgen")
ROUTES = ROUTER.children("router_route", by="router_id", deleted_at=None)
