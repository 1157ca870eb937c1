# SPDX-License-Identifier: MIT
"""The example's project_create in the form "built": each call builds each statement."""

from __future__ import annotations

from batchq import Batch, Statement, check, gather, insert, into, sequence, sql, unique, update
from examples.datastore.errors import AlreadyExists, LimitExceeded, NotFound
from examples.datastore.firewall import default_rules
from examples.datastore.models import (
    FirewallRule,
    NewFirewallRule,
    NewProject,
    NewRouter,
    NewSubnet,
    NewVpc,
    Project,
    ProjectCreated,
    Router,
    Subnet,
    Vpc,
    VpcCreated,
)
from examples.datastore.parents import PROJECTS
from examples.datastore.vpc import DEFAULT_BLOCK


def project_create(new: NewProject) -> Batch[ProjectCreated]:
    """Create a project with its default VPC, and count it against the silo's limit."""
    project = (
        insert("project", new)
        .one(Project)
        .on(unique("lookup_project_by_silo"), AlreadyExists("project", new.name))
        .invariant("project_pkey", "project_vpcs_within_limit")
    )
    missing = NotFound("silo", new.silo_id)
    return (
        gather(
            PROJECTS.add(new.silo_id, project.label("project"), missing=missing),
            _vpc(NewVpc(project_id=new.id, name="default"))
            .as_invariant("creating the default VPC")
            .label("default_vpc"),
            _take(new).label("limit"),
        )
        .map(lambda made: ProjectCreated(project=made[0], default_vpc=made[1]))
        .label("project_create")
    )


def _vpc(new: NewVpc) -> Batch[VpcCreated]:
    router = NewRouter(id=new.system_router_id, vpc_id=new.id, kind="system", name="system")
    subnet = NewSubnet(vpc_id=new.id, name="default", ipv4_block=DEFAULT_BLOCK)
    return into(
        VpcCreated,
        vpc=insert("vpc", new)
        .one(Vpc)
        .on(unique("lookup_vpc_by_project"), AlreadyExists("vpc", new.name))
        .invariant("vpc_pkey", "vpc_system_router_id_fkey"),
        router=insert("vpc_router", router)
        .one(Router)
        .on(unique("lookup_router_by_vpc"), AlreadyExists("router", router.name))
        .invariant("vpc_router_pkey", "vpc_router_kind_known"),
        subnet=insert("vpc_subnet", subnet)
        .one(Subnet)
        .on(unique("vpc_subnet_vpc_id_name_key"), AlreadyExists("subnet", subnet.name))
        .invariant("vpc_subnet_pkey"),
        rules=sequence(map(_rule, default_rules(new.id))),
    )


def _rule(new: NewFirewallRule) -> Statement[FirewallRule]:
    return (
        insert("vpc_firewall_rule", new)
        .one(FirewallRule)
        .on(unique("lookup_firewall_by_vpc"), AlreadyExists("firewall rule", new.name))
        .invariant(
            "vpc_firewall_rule_pkey",
            "vpc_firewall_rule_direction_known",
            "vpc_firewall_rule_action_known",
            "vpc_firewall_rule_priority_in_range",
        )
    )


def _take(new: NewProject) -> Batch[None]:
    used, silo = {"projects_used": sql("projects_used + 1")}, {"silo_id": new.silo_id}
    within = check("silo_limits_projects_within_limit")
    full = LimitExceeded("projects of silo", new.silo_id)
    return update("silo_limits", used, silo).expect(1).on(within, full)
