# SPDX-License-Identifier: MIT
"""Who is whose child, said once. A VPC counts its subnets and its firewall rules apart, so it is
a parent twice."""

from __future__ import annotations

from batchq.hierarchy import Parent

SILO = Parent(table="silo", key="id", deleted_at="time_deleted", generation="rcgen")
PROJECTS = SILO.children("project", by="silo_id", deleted_at="time_deleted")

PROJECT = Parent(table="project", key="id", deleted_at="time_deleted", generation="rcgen")
INSTANCES = PROJECT.children("instance", by="project_id", deleted_at="time_deleted")
DISKS = PROJECT.children("disk", by="project_id", deleted_at="time_deleted")
FLOATING_IPS = PROJECT.children(
    "external_ip", by="project_id", where={"kind": "floating"}, deleted_at="time_deleted"
)
IMAGES = PROJECT.children("image", by="project_id", deleted_at="time_deleted")
SNAPSHOTS = PROJECT.children("snapshot", by="project_id", deleted_at="time_deleted")
VPCS = PROJECT.children("vpc", by="project_id", deleted_at="time_deleted")
AFFINITY_GROUPS = PROJECT.children("affinity_group", by="project_id", deleted_at="time_deleted")
ANTI_AFFINITY_GROUPS = PROJECT.children(
    "anti_affinity_group", by="project_id", deleted_at="time_deleted"
)

VPC_OF_SUBNETS = Parent(table="vpc", generation="subnet_gen", key="id", deleted_at="time_deleted")
SUBNETS = VPC_OF_SUBNETS.children("vpc_subnet", by="vpc_id", deleted_at="time_deleted")

VPC_OF_RULES = Parent(table="vpc", generation="firewall_gen", key="id", deleted_at="time_deleted")
RULES = VPC_OF_RULES.children("vpc_firewall_rule", by="vpc_id", deleted_at="time_deleted")

ROUTER = Parent(table="vpc_router", key="id", deleted_at="time_deleted", generation="rcgen")
ROUTES = ROUTER.children("router_route", by="vpc_router_id", deleted_at="time_deleted")
