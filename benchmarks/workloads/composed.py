# SPDX-License-Identifier: MIT
"""The example's project_create in the form "composed": each call composes bound statements."""

from __future__ import annotations

from batchq import Batch, gather, into, sequence
from examples.datastore.errors import NotFound
from examples.datastore.firewall import default_rules, rule_insert
from examples.datastore.limits import limits_take_project
from examples.datastore.models import (
    NewProject,
    NewRouter,
    NewSubnet,
    NewVpc,
    ProjectCreated,
    VpcCreated,
)
from examples.datastore.parents import PROJECTS
from examples.datastore.project import project_insert
from examples.datastore.router import router_insert
from examples.datastore.subnet import subnet_insert
from examples.datastore.vpc import DEFAULT_BLOCK, vpc_insert


def project_create(new: NewProject) -> Batch[ProjectCreated]:
    """Create a project with its default VPC, and count it against the silo's limit."""
    project = project_insert(new).label("project")
    return (
        gather(
            PROJECTS.add(new.silo_id, project, missing=NotFound("silo", new.silo_id)),
            _vpc(NewVpc(project_id=new.id, name="default"))
            .as_invariant("creating the default VPC")
            .label("default_vpc"),
            limits_take_project(new.silo_id).label("limit"),
        )
        .map(lambda made: ProjectCreated(project=made[0], default_vpc=made[1]))
        .label("project_create")
    )


def _vpc(new: NewVpc) -> Batch[VpcCreated]:
    return into(
        VpcCreated,
        vpc=vpc_insert(new),
        router=router_insert(
            NewRouter(id=new.system_router_id, vpc_id=new.id, kind="system", name="system")
        ),
        subnet=subnet_insert(NewSubnet(vpc_id=new.id, name="default", ipv4_block=DEFAULT_BLOCK)),
        rules=sequence(map(rule_insert, default_rules(new.id))),
    )
