# SPDX-License-Identifier: MIT
"""The rival inside a data layer: the pipeline by hand, from the same models to the same models.

What a service hands in and wants back is no tuple. This is what is left of batchq's cost when that
part of the work, which nobody can save, is on both sides.
"""

from __future__ import annotations

from attrs import frozen
from psycopg.types.numeric import Int8

from benchmarks.bare import ONE_ROW, BarePipeline
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
from examples.datastore.vpc import DEFAULT_BLOCK


@frozen
class TypedPipeline:
    """The bare pipeline behind the data layer's own function."""

    bare: BarePipeline

    def project_create(self, new: NewProject) -> ProjectCreated:
        """Create a project with its default VPC."""
        vpc = NewVpc(project_id=new.id, name="default")
        router = NewRouter(id=vpc.system_router_id, vpc_id=vpc.id, kind="system", name="system")
        subnet = NewSubnet(vpc_id=vpc.id, name="default", ipv4_block=DEFAULT_BLOCK)
        rules = default_rules(vpc.id)
        rows = self.bare.run(
            [
                (new.silo_id, *ONE_ROW),
                (new.id, new.silo_id, new.name, new.description),
                (vpc.id, vpc.project_id, vpc.system_router_id, vpc.name),
                (router.id, router.vpc_id, router.kind, router.name),
                (subnet.id, subnet.vpc_id, subnet.name, subnet.ipv4_block),
                *map(_rule_values, rules),
                (new.silo_id, *ONE_ROW),
            ]
        )
        return ProjectCreated(
            project=Project(*rows[1][0]),
            default_vpc=VpcCreated(
                vpc=Vpc(*rows[2][0]),
                router=Router(*rows[3][0]),
                subnet=Subnet(*rows[4][0]),
                rules=[FirewallRule(*rows[5][0]), FirewallRule(*rows[6][0])],
            ),
        )


def _rule_values(rule: NewFirewallRule) -> tuple[object, ...]:
    return (
        rule.id,
        rule.vpc_id,
        rule.name,
        rule.direction,
        rule.action,
        rule.protocols,
        Int8(rule.priority),
    )
