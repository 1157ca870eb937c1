# SPDX-License-Identifier: MIT
"""Firewall rules: what may enter and leave a VPC."""

from __future__ import annotations

from uuid import UUID

from batchq import Batch, insert, unique
from examples.datastore.errors import AlreadyExists
from examples.datastore.models import FirewallRule, NewFirewallRule


def rule_insert(new: NewFirewallRule) -> Batch[FirewallRule]:
    """Insert a firewall rule."""
    return (
        insert("vpc_firewall_rule", new)
        .one(FirewallRule)
        .on(unique("lookup_firewall_by_vpc"), AlreadyExists("firewall rule", new.name))
        .internal(
            "vpc_firewall_rule_pkey",
            "vpc_firewall_rule_direction_known",
            "vpc_firewall_rule_action_known",
            "vpc_firewall_rule_priority_in_range",
        )
    )


def default_rules(vpc_id: UUID) -> list[NewFirewallRule]:
    """The rules that a VPC begins with: its own machines may talk, and anybody may try SSH."""
    return [
        NewFirewallRule(
            vpc_id=vpc_id,
            name=name,
            direction="inbound",
            action="allow",
            protocols=protocols,
            priority=65534,
        )
        for name, protocols in (("allow-internal-inbound", []), ("allow-ssh", ["tcp"]))
    ]
