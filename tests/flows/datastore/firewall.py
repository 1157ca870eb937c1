# SPDX-License-Identifier: MIT
"""Firewall rules: what may enter and leave a VPC. Flow 2.4."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID, uuid4

from attrs import field, frozen

from batchq import Batch, format_error, gather, insert, sequence, sql, unique, update
from tests.flows.datastore.errors import AlreadyExists, InvalidRequest, NotFound
from tests.flows.datastore.parents import RULES, VPC_OF_RULES


@frozen(kw_only=True)
class NewFirewallRule:
    """A firewall rule to create."""

    id: UUID = field(factory=uuid4)
    vpc_id: UUID
    name: str
    status: str = "enabled"
    direction: str = "inbound"
    targets: list[str]
    action: str = "allow"
    priority: int = 65534


@frozen
class FirewallRule:
    """A firewall rule of a VPC."""

    id: UUID
    vpc_id: UUID
    name: str
    status: str
    direction: str
    targets: list[str]
    action: str
    priority: int


def firewall_rules_replace(
    vpc_id: UUID, rules: Iterable[NewFirewallRule]
) -> Batch[list[FirewallRule]]:
    """Replace all firewall rules of a VPC; the answer is in the order of their names.

    The VPC is bumped first and always: that it is gone is a 404 for no rules as well, and whoever
    replaces them at the same time waits, and then finds these. The new ones do not bump it again.
    """
    gone = NotFound("vpc", vpc_id)
    new = sequence(rule_insert(rule) for rule in sorted(rules, key=lambda rule: rule.name))
    return (
        gather(
            VPC_OF_RULES.touch(vpc_id, missing=gone),
            update(
                "vpc_firewall_rule",
                {"time_deleted": sql("now()")},
                where={"vpc_id": vpc_id, "time_deleted": None},
            ).label("old"),
            RULES.add(vpc_id, new, missing=gone),
        )
        .map(lambda made: made[2])
        .label("firewall_rules_replace")
    )


def firewall_rules_replace_seen(
    vpc_id: UUID, rules: Iterable[NewFirewallRule], *, firewall_gen: int
) -> Batch[list[FirewallRule]]:
    """Replace the firewall rules that the caller has seen, and no others."""
    seen = VPC_OF_RULES.lock(vpc_id, missing=NotFound("vpc", vpc_id)).require(
        {"firewall_gen": firewall_gen},
        raises=format_error(
            InvalidRequest, "the firewall rules are at generation {firewall_gen} now"
        ),
    )
    replacing = firewall_rules_replace(vpc_id, rules)
    return gather(seen, replacing).map(lambda made: made[1])


def rule_insert(new: NewFirewallRule) -> Batch[FirewallRule]:
    """Insert a firewall rule."""
    return (
        insert("vpc_firewall_rule", new)
        .one(FirewallRule)
        .on(unique("lookup_firewall_by_vpc"), AlreadyExists("firewall rule", new.name))
        .invariant("vpc_firewall_rule_pkey", "vpc_firewall_rule_priority_check")
        .label(new.name)
    )


def default_rules(vpc_id: UUID) -> list[NewFirewallRule]:
    """The rules that a VPC begins with: its own machines may talk, and anybody may try SSH."""
    return [
        NewFirewallRule(vpc_id=vpc_id, name=name, targets=["vpc:default"])
        for name in ("allow-ssh", "allow-internal-inbound", "allow-icmp")
    ]
