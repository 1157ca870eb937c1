# SPDX-License-Identifier: MIT
"""The example's project_create in two other forms, which differ in how each statement is made.

Composed: each is declared, the insert of a project with the touch of its silo, and bound at each
call. Built: each is built at each call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from attrs import frozen

from batchq import Batch, check, gather, insert, into, row, sequence, sql, unique, update
from examples.datastore.errors import AlreadyExists, LimitExceeded, NotFound
from examples.datastore.firewall import default_rules, rule_insert
from examples.datastore.limits import limits_take_project
from examples.datastore.models import (
    FirewallRule,
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
from examples.datastore.project import PROJECT_INSERT
from examples.datastore.router import router_insert
from examples.datastore.subnet import subnet_insert
from examples.datastore.vpc import DEFAULT_BLOCK, vpc_insert

Insert = Callable[[Any], Batch[Any]]


@frozen(kw_only=True)
class ProjectForm:
    """A form: how each statement is made, of the new row."""

    project: Insert
    vpc: Insert
    router: Insert
    subnet: Insert
    rule: Insert
    take: Callable[[UUID], Batch[None]]

    def project_create(self, new: NewProject) -> Batch[ProjectCreated]:
        """Create a project with its default VPC, and count it against the silo's limit."""
        return (
            gather(
                self.project(new),
                self.vpc_with_defaults(NewVpc(project_id=new.id, name="default"))
                .as_invariant("creating the default VPC")
                .label("default_vpc"),
                self.take(new.silo_id).label("limit"),
            )
            .map(lambda made: ProjectCreated(project=made[0], default_vpc=made[1]))
            .label("project_create")
        )

    def vpc_with_defaults(self, new: NewVpc) -> Batch[VpcCreated]:
        """Create a VPC with its router, subnet and rules."""
        router = NewRouter(id=new.system_router_id, vpc_id=new.id, kind="system", name="system")
        subnet = NewSubnet(vpc_id=new.id, name="default", ipv4_block=DEFAULT_BLOCK)
        return into(
            VpcCreated,
            vpc=self.vpc(new),
            router=self.router(router),
            subnet=self.subnet(subnet),
            rules=sequence(map(self.rule, default_rules(new.id))),
        )


def _built(table: str, model: type[Any], kind: str, taken: str, *invariants: str) -> Insert:
    def build(new: Any) -> Batch[Any]:
        exists = AlreadyExists(kind, new.name)
        return insert(table, new).one(model).on(unique(taken), exists).invariant(*invariants)

    return build


def _added(build: Insert) -> Insert:
    def add(new: Any) -> Batch[Any]:
        missing = NotFound("silo", new.silo_id)
        return PROJECTS.add(new.silo_id, build(new).label("project"), missing=missing)

    return add


def _take(silo_id: UUID) -> Batch[None]:
    used = {"projects_used": sql("projects_used + 1")}
    within = check("silo_limits_projects_within_limit")
    full = LimitExceeded("projects of silo", silo_id)
    return update("silo_limits", used, {"silo_id": silo_id}).expect(1).on(within, full)


_PROJECT = PROJECTS.add(
    row(NewProject).silo_id,
    PROJECT_INSERT.label("project"),
    missing=lambda v: NotFound("silo", v.values["id"]),
)
COMPOSED = ProjectForm(
    project=_PROJECT.bind,
    vpc=vpc_insert,
    router=router_insert,
    subnet=subnet_insert,
    rule=rule_insert,
    take=limits_take_project,
)
_RULE = ("pkey", "direction_known", "action_known", "priority_in_range")
BUILT = ProjectForm(
    project=_added(
        _built(
            *("project", Project, "project", "lookup_project_by_silo"),
            *("project_pkey", "project_vpcs_within_limit"),
        )
    ),
    vpc=_built(
        *("vpc", Vpc, "vpc", "lookup_vpc_by_project"),
        *("vpc_pkey", "vpc_system_router_id_fkey"),
    ),
    router=_built(
        *("vpc_router", Router, "router", "lookup_router_by_vpc"),
        *("vpc_router_pkey", "vpc_router_kind_known"),
    ),
    subnet=_built(
        *("vpc_subnet", Subnet, "subnet", "vpc_subnet_vpc_id_name_key"), "vpc_subnet_pkey"
    ),
    rule=_built(
        *("vpc_firewall_rule", FirewallRule, "firewall rule", "lookup_firewall_by_vpc"),
        *(f"vpc_firewall_rule_{name}" for name in _RULE),
    ),
    take=_take,
)
