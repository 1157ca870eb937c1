# SPDX-License-Identifier: MIT
"""Firewall rules: which packets may enter and leave a VPC."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from batchq import Batch, gather, insert, unique
from examples.datastore.errors import AlreadyExists, NotFound
from examples.datastore.models import FirewallRule, NewFirewallRule, Vpc
from examples.datastore.parents import RULES, VPC


def rule_create(new: NewFirewallRule) -> Batch[FirewallRule]:
    """Create a firewall rule in an existing VPC."""
    not_found = NotFound("vpc", new.vpc_id)
    return RULES.add(new.vpc_id, rule_insert(new), missing=not_found).label("rule_create")


RULE_INSERT = (
    insert("vpc_firewall_rule", NewFirewallRule)
    .one(FirewallRule)
    .on(
        unique("lookup_firewall_by_vpc"), lambda v: AlreadyExists("firewall rule", v.values["name"])
    )
    .invariant(
        "vpc_firewall_rule_pkey",
        "vpc_firewall_rule_direction_known",
        "vpc_firewall_rule_action_known",
        "vpc_firewall_rule_priority_in_range",
    )
)


def rule_insert(new: NewFirewallRule) -> Batch[FirewallRule]:
    """Insert a firewall rule."""
    return RULE_INSERT.bind(new)


def rule_list(vpc_id: UUID) -> Batch[list[FirewallRule]]:
    """Read all rules of a VPC; raise NotFound while it is being deleted, never a part of them."""
    return (
        gather(
            RULES.read(vpc_id, FirewallRule), VPC.read(vpc_id, Vpc, missing=NotFound("vpc", vpc_id))
        )
        .map(lambda read: read[0])
        .label("rule_list")
    )


DEFAULT_RULES: list[dict[str, Any]] = [
    {
        "name": name,
        "direction": "inbound",
        "action": "allow",
        "protocols": protocols,
        "priority": 65534,
    }
    for name, protocols in (("allow-internal-inbound", []), ("allow-ssh", ["tcp"]))
]
"""The rules of a new VPC: its own machines may talk, and SSH is open to all."""


def default_rules(vpc_id: UUID) -> list[NewFirewallRule]:
    """Return the default rules as rows of a VPC."""
    return [NewFirewallRule(vpc_id=vpc_id, **rule) for rule in DEFAULT_RULES]
