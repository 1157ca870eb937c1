# SPDX-License-Identifier: MIT
"""Flow 2.4: all firewall rules of a VPC replaced at once."""

from __future__ import annotations

from uuid import uuid4

import attrs
import pytest

from batchq import InvalidBatch, InvariantViolation
from batchq.result import Ok
from tests.flows.datastore.errors import AlreadyExists, InvalidRequest, NotFound
from tests.flows.datastore.firewall import (
    NewFirewallRule,
    firewall_rules_replace,
    firewall_rules_replace_seen,
)
from tests.flows.datastore.vpc import NewVpc, Vpc, vpc_insert
from tests.support.lock_waits import race

LIVING = "SELECT name FROM vpc_firewall_rule WHERE time_deleted IS NULL ORDER BY name"


@pytest.fixture
def vpc(service, project) -> Vpc:
    new = NewVpc(project_id=project.id, name="prod", dns_name="prod")
    return service.run(vpc_insert(new, range(100, 101)))


def rules(vpc: Vpc, *names: str) -> list[NewFirewallRule]:
    return [NewFirewallRule(vpc_id=vpc.id, name=name, targets=["vpc:prod"]) for name in names]


def test_the_old_make_room_for_the_new_in_one_flight(service, vpc):
    service.run(firewall_rules_replace(vpc.id, rules(vpc, "ssh", "web")))
    made = service.run(firewall_rules_replace(vpc.id, rules(vpc, "web", "icmp")))
    assert [rule.name for rule in made] == ["icmp", "web"]
    assert service.execute(LIVING) == [("icmp",), ("web",)]
    assert service.execute("SELECT firewall_gen, subnet_gen FROM vpc") == [(3, 1)]


def test_no_rules_at_all_are_an_answer_too(service, vpc):
    service.run(firewall_rules_replace(vpc.id, rules(vpc, "ssh")))
    assert service.run(firewall_rules_replace(vpc.id, [])) == []
    assert service.execute(LIVING) == []


@pytest.mark.parametrize("names", [(), ("ssh",)], ids=["no rules", "rules"])
def test_a_vpc_that_is_gone_is_not_found(service, vpc, names):
    service.execute("UPDATE vpc SET time_deleted = now()")
    service.refuse(
        firewall_rules_replace(vpc.id, rules(vpc, *names)),
        NotFound,
        f'not found: vpc with id "{vpc.id}"',
        at="firewall_rules_replace/vpc",
    )


def test_a_name_that_comes_twice_is_the_callers_mistake(service, vpc):
    service.run(firewall_rules_replace(vpc.id, rules(vpc, "old")))
    report = service.refuse(
        firewall_rules_replace(vpc.id, rules(vpc, "web", "ssh", "web")),
        AlreadyExists,
        'already exists: firewall rule "web"',
        at="firewall_rules_replace/web",
    )
    assert report.index == 4  # bump, old, ssh, web, and then the one too many
    assert service.execute(LIVING) == [("old",)]


def test_a_rule_of_another_vpc_is_refused_before_anything_is_sent(vpc):
    (rule,) = rules(vpc, "web")
    with pytest.raises(InvalidBatch, match="another 'vpc_id' than the parent"):
        firewall_rules_replace(vpc.id, [attrs.evolve(rule, vpc_id=uuid4())])


def test_a_priority_out_of_its_range_is_ours(service, vpc):
    rule = NewFirewallRule(vpc_id=vpc.id, name="web", targets=[], priority=65536)
    flow = firewall_rules_replace(vpc.id, [rule])
    service.refuse(flow, InvariantViolation, at="firewall_rules_replace/web")


def test_who_has_not_seen_the_latest_rules_replaces_none(service, vpc):
    def replace(names, seen):
        return firewall_rules_replace_seen(vpc.id, rules(vpc, *names), firewall_gen=seen)

    service.run(replace(["ssh"], 1))
    says = "the firewall rules are at generation 2 now"
    service.refuse(replace(["web"], 1), InvalidRequest, says, at="vpc")
    service.run(replace(["web"], 2))
    assert service.execute(LIVING) == [("web",)]


def test_of_two_at_a_time_the_second_replaces_what_the_first_has_added(service, vpc, connect):
    with race(connect) as racing:
        answer = racing.run(
            firewall_rules_replace(vpc.id, rules(vpc, "ssh")),
            firewall_rules_replace(vpc.id, rules(vpc, "web")),
        )
    assert isinstance(answer, Ok)
    assert service.execute(LIVING) == [("web",)]
