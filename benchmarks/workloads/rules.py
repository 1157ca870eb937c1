# SPDX-License-Identifier: MIT
"""Workloads on firewall rules: batches of inserts, and the delete of all rules of a VPC."""

from __future__ import annotations

from functools import cache
from uuid import UUID, uuid4

import psycopg
from attrs import evolve
from psycopg.types.numeric import Int8

from batchq import Batch, insert, sequence, unique
from benchmarks.sandbox import Sandbox
from benchmarks.workloads import DECLARED, FORMS, Command, Values, Workload, insert_command
from examples.datastore.errors import AlreadyExists
from examples.datastore.firewall import default_rules
from examples.datastore.models import NewFirewallRule

# -- inserts: any number of firewall rules in one transaction --------------------------------------

VPC_OF_RULES = UUID(int=1)
"""The VPC of all rules; no statement looks whether it exists."""

_RULE = insert_command("vpc_firewall_rule", "id vpc_id name direction action protocols priority")


def rules(vpc_id: UUID, numbers: range) -> list[NewFirewallRule]:
    """Return the rules of these numbers."""
    example = default_rules(vpc_id)[-1]
    return [
        evolve(example, id=uuid4(), name=f"rule-{number:07}", priority=number % 65536)
        for number in numbers
    ]


RULE_INSERT = insert("vpc_firewall_rule", NewFirewallRule).on(
    unique("lookup_firewall_by_vpc"), lambda v: AlreadyExists("firewall rule", v.values["name"])
)
"""Without a result, as the commands of the peers."""


def _composed(new: list[NewFirewallRule]) -> Batch[list[None]]:
    return sequence(map(RULE_INSERT.bind, new))


def rules_insert(new: list[NewFirewallRule]) -> Batch[list[None]]:
    """Insert each rule with a statement of its own that knows what its failure means."""
    return sequence(
        insert("vpc_firewall_rule", rule).on(
            unique("lookup_firewall_by_vpc"), AlreadyExists("firewall rule", rule.name)
        )
        for rule in new
    )


def _rule_values(new: list[NewFirewallRule]) -> Values:
    # The priority has one width, whatever the number: it is prepared for one type.
    return [
        (r.id, r.vpc_id, r.name, r.direction, r.action, r.protocols, Int8(r.priority)) for r in new
    ]


def _rules_digest(conninfo: str) -> object:
    """Let the server hash the rules' names: there may be very many."""
    text = "SELECT count(*), md5(string_agg(name, ' ' ORDER BY name)) FROM vpc_firewall_rule"
    with psycopg.connect(conninfo, autocommit=True) as conn:
        return conn.execute(f"{text} WHERE name LIKE 'rule-%'".encode()).fetchone()


def inserts(statements: int) -> Workload:
    """Return batches of so many inserts."""

    @cache  # all peers insert the same rules, each into tables of its own
    def given(calls: int) -> list[list[NewFirewallRule]]:
        starts = range(0, calls * statements, statements)
        return [rules(VPC_OF_RULES, range(start, start + statements)) for start in starts]

    return Workload(
        "inserts",
        lambda _, calls: given(calls),
        dict(zip(FORMS, (RULE_INSERT.each, _composed, rules_insert), strict=True)),
        [_RULE] * statements,
        _rule_values,
        digest=_rules_digest,
    )


def single_inserts() -> Workload:
    """Return inserts of one rule each, which a service would bind as they are."""
    one = inserts(1)
    return evolve(one, batches={DECLARED: lambda new: RULE_INSERT.bind(*new)})


# -- bulk deletes: the rules of one VPC of several, among whose rules they lie ---------------------

# As of uuid4, whose order is not that of the rows, and as of uuid7.
KEYS = {"random": "md5(n::text)", "ordered": "lpad(n::text, 10, '0')"}

_FILL = """
BEGIN;
INSERT INTO vpc_router (id, vpc_id, kind, name)
SELECT vpc_id, vpc_id, 'system', 'system' FROM unnest(%(vpcs)s::uuid[]) AS vpc_id;
INSERT INTO vpc (id, project_id, system_router_id, name)
SELECT vpc_id, vpc_id, vpc_id, 'vpc' FROM unnest(%(vpcs)s::uuid[]) AS vpc_id;
INSERT INTO vpc_firewall_rule (id, vpc_id, name, direction, action, protocols, priority)
SELECT gen_random_uuid(), vpc_id, 'rule-' || {key}, 'inbound', 'allow', '{{tcp}}', 1
FROM generate_series(1, %(rows)s) AS n, unnest(%(vpcs)s::uuid[]) AS vpc_id;
COMMIT
"""


def deletes(keys: str, rows: int) -> Workload:
    """Return deletes of VPCs with so many rules each."""

    def inputs(place: Sandbox, calls: int) -> list[UUID]:
        vpcs = [UUID(int=number + 1) for number in range(calls + 1)]
        given = {"vpcs": vpcs, "rows": rows}
        with place.connect() as conn:
            psycopg.ClientCursor(conn).execute(_FILL.format(key=KEYS[keys]).encode(), given)
            conn.execute("VACUUM (FREEZE, ANALYZE)")
        return vpcs[:calls]

    return Workload(
        "bulk delete",
        inputs,
        {},
        (Command("DELETE FROM vpc_firewall_rule WHERE vpc_id = $1"),),
        lambda vpc_id: [(vpc_id,)],
        digest=_rules_digest,
    )
