# SPDX-License-Identifier: MIT
"""Batches of any number of inserts: firewall rules of one VPC."""

from __future__ import annotations

from uuid import UUID

from batchq import Batch, insert, sequence, unique
from examples.datastore.errors import AlreadyExists
from examples.datastore.models import NewFirewallRule


def rules(vpc_id: UUID, numbers: range) -> list[NewFirewallRule]:
    """The rules of these numbers: the values of a batch."""
    return [
        NewFirewallRule(
            vpc_id=vpc_id,
            name=f"rule-{number:07}",
            direction="inbound",
            action="allow",
            protocols=["tcp"],
            priority=number % 65536,
        )
        for number in numbers
    ]


def rules_insert(new: list[NewFirewallRule]) -> Batch[list[None]]:
    """Insert them, each with a statement of its own that knows what its failure means."""
    return sequence(
        insert("vpc_firewall_rule", rule).on(
            unique("lookup_firewall_by_vpc"), AlreadyExists("firewall rule", rule.name)
        )
        for rule in new
    )
