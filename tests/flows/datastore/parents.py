# SPDX-License-Identifier: MIT
"""Who is whose child, said once. A VPC counts its subnets and its firewall rules apart, so it is
a parent twice."""

from __future__ import annotations

from batchq import Parent

SILO = Parent(table="silo")
PROJECTS = SILO.children("project", by="silo_id")

PROJECT = Parent(table="project")
INSTANCES = PROJECT.children("instance", by="project_id")
DISKS = PROJECT.children("disk", by="project_id")
FLOATING_IPS = PROJECT.children("external_ip", by="project_id", where={"kind": "floating"})
IMAGES = PROJECT.children("image", by="project_id")
SNAPSHOTS = PROJECT.children("snapshot", by="project_id")
VPCS = PROJECT.children("vpc", by="project_id")
AFFINITY_GROUPS = PROJECT.children("affinity_group", by="project_id")
ANTI_AFFINITY_GROUPS = PROJECT.children("anti_affinity_group", by="project_id")

VPC_OF_SUBNETS = Parent(table="vpc", generation="subnet_gen")
SUBNETS = VPC_OF_SUBNETS.children("vpc_subnet", by="vpc_id")

VPC_OF_RULES = Parent(table="vpc", generation="firewall_gen")
RULES = VPC_OF_RULES.children("vpc_firewall_rule", by="vpc_id")

ROUTER = Parent(table="vpc_router")
ROUTES = ROUTER.children("router_route", by="vpc_router_id")
