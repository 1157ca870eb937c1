# SPDX-License-Identifier: MIT
"""Subnets of a VPC, no two of which overlap, and firewall rules that are replaced at once."""

from __future__ import annotations

from ipaddress import IPv4Network
from uuid import uuid4

import attrs
import pytest

from batchq import GuardFailed, InvalidBatch, InvariantViolation
from batchq.result import Ok
from examples.datastore.errors import AlreadyExists, NotFound, Refused
from examples.datastore.models import NewFirewallRule, NewSubnet, NewVpc, Vpc
from examples.datastore.vpc import vpc_create
from tests.flows.networks import rules_replace, rules_replace_seen, subnet_create
from tests.support.lock_waits import race

NAMES = "SELECT name FROM vpc_firewall_rule ORDER BY name"


@pytest.fixture
def vpc(service, project) -> Vpc:
    """Create a VPC without subnets and rules."""
    made = service.run(vpc_create(NewVpc(project_id=project.id, name="prod")))
    service.execute("DELETE FROM vpc_subnet; DELETE FROM vpc_firewall_rule")
    return made.vpc


class TestSubnetCreate:
    OVERLAP = "10.0.0.0/22 overlaps"

    @pytest.fixture
    def new(self, vpc) -> NewSubnet:
        return NewSubnet(vpc_id=vpc.id, name="front", ipv4_block=IPv4Network("10.0.0.0/22"))

    @pytest.fixture
    def apart(self, new) -> NewSubnet:
        """Another subnet, with other addresses."""
        block = IPv4Network("10.0.4.0/22")
        return attrs.evolve(new, id=uuid4(), name="back", ipv4_block=block)

    def test_subnets_that_do_not_overlap_are_created(self, service, new, apart):
        assert service.run(subnet_create(new)).created
        assert service.run(subnet_create(apart)).created
        assert service.execute("SELECT rcgen FROM vpc") == [(3,)]

    def test_repeated_create_returns_the_existing_row(self, service, new):
        first = service.run(subnet_create(new))
        second = service.run(subnet_create(new))
        assert (second.row, first.created, second.created) == (first.row, True, False)
        assert service.execute("SELECT count(*) FROM vpc_subnet") == [(1,)]

    def test_id_of_another_subnet_is_a_bug(self, service, new, apart):
        service.run(subnet_create(new))
        flow = subnet_create(attrs.evolve(apart, id=new.id))
        service.refuse(flow, GuardFailed, at="subnet_create/insert")

    def test_deleted_vpc_is_not_found(self, service, new):
        service.execute("UPDATE vpc SET time_deleted = now()")
        text = f'not found: vpc "{new.vpc_id}"'
        service.refuse(subnet_create(new), NotFound, text, at="subnet_create/vpc")

    @pytest.mark.parametrize("block", ["10.0.0.0/22", "10.0.3.0/24", "10.0.0.0/8"])
    def test_block_that_overlaps_a_subnet_is_rejected_until_it_is_deleted(
        self, service, new, apart, block
    ):
        other = service.run(subnet_create(apart)).row
        service.execute("UPDATE vpc_subnet SET ipv4_block = %s", block)
        service.refuse(subnet_create(new), Refused, self.OVERLAP, at="subnet_create/ipv4")
        service.execute("UPDATE vpc_subnet SET time_deleted = now() WHERE id = %s", other.id)
        assert service.run(subnet_create(new)).created

    def test_taken_name_is_rejected(self, service, new, apart):
        service.run(subnet_create(new))
        flow = subnet_create(attrs.evolve(apart, name="front"))
        text = 'already exists: subnet "front"'
        service.refuse(flow, AlreadyExists, text, at="subnet_create/insert")

    def test_second_of_two_that_overlap_at_the_same_time_is_rejected(
        self, service, new, apart, connect
    ):
        other = attrs.evolve(apart, ipv4_block=IPv4Network("10.0.0.0/8"))
        with race(connect) as racing:
            answer = racing.run(subnet_create(other), subnet_create(new))
        assert (type(answer.error), str(answer.error)) == (Refused, self.OVERLAP)
        assert service.execute("SELECT name FROM vpc_subnet") == [("back",)]


class TestRulesReplace:
    @staticmethod
    def rules(vpc: Vpc, *names: str, priority: int = 1) -> list[NewFirewallRule]:
        return [
            NewFirewallRule(
                vpc_id=vpc.id,
                name=name,
                direction="inbound",
                action="allow",
                protocols=["tcp"],
                priority=priority,
            )
            for name in names
        ]

    def test_new_rules_replace_the_old_in_one_flight(self, service, vpc):
        service.run(rules_replace(vpc.id, self.rules(vpc, "ssh", "web")))
        made = service.run(rules_replace(vpc.id, self.rules(vpc, "web", "icmp")))
        assert [rule.name for rule in made] == ["icmp", "web"]
        assert service.execute(NAMES) == [("icmp",), ("web",)]
        assert service.execute("SELECT firewall_gen, rcgen FROM vpc") == [(3, 1)]

    def test_no_rules_replace_the_old(self, service, vpc):
        service.run(rules_replace(vpc.id, self.rules(vpc, "ssh")))
        assert service.run(rules_replace(vpc.id, [])) == []
        assert service.execute(NAMES) == []

    @pytest.mark.parametrize("names", [(), ("ssh",)], ids=["no rules", "rules"])
    def test_deleted_vpc_is_not_found(self, service, vpc, names):
        service.execute("UPDATE vpc SET time_deleted = now()")
        flow = rules_replace(vpc.id, self.rules(vpc, *names))
        service.refuse(flow, NotFound, f'not found: vpc "{vpc.id}"', at="rules_replace/vpc")

    def test_a_rule_that_is_the_same_stays_as_it_is(self, service, vpc):
        first = service.run(rules_replace(vpc.id, self.rules(vpc, "ssh", "web")))
        second = service.run(rules_replace(vpc.id, self.rules(vpc, "icmp", "web")))
        assert (second[0].name, second[1]) == ("icmp", first[1])

    def test_repeated_name_is_rejected_before_anything_is_sent(self, vpc):
        with pytest.raises(AlreadyExists, match='already exists: firewall rule "web"'):
            rules_replace(vpc.id, self.rules(vpc, "web", "ssh", "web"))

    def test_rule_of_another_vpc_is_rejected_before_anything_is_sent(self, vpc):
        (rule,) = self.rules(vpc, "web")
        with pytest.raises(InvalidBatch, match="must set 'vpc_id' to the key"):
            rules_replace(vpc.id, [attrs.evolve(rule, vpc_id=uuid4())])

    def test_priority_out_of_range_is_a_bug(self, service, vpc):
        flow = rules_replace(vpc.id, self.rules(vpc, "web", priority=65536))
        service.refuse(flow, InvariantViolation, at="rules_replace/web")

    def test_caller_that_has_not_seen_the_latest_rules_replaces_none(self, service, vpc):
        def replace(names, seen):
            return rules_replace_seen(vpc.id, self.rules(vpc, *names), firewall_gen=seen)

        service.run(replace(["ssh"], 1))
        text = "the firewall rules are at generation 2 now"
        service.refuse(replace(["web"], 1), Refused, text, at="vpc")
        service.run(replace(["web"], 2))
        assert service.execute(NAMES) == [("web",)]

    def test_second_of_two_at_the_same_time_replaces_the_rules_of_the_first(
        self, service, vpc, connect
    ):
        with race(connect) as racing:
            answer = racing.run(
                rules_replace(vpc.id, self.rules(vpc, "ssh")),
                rules_replace(vpc.id, self.rules(vpc, "web")),
            )
        assert isinstance(answer, Ok)
        assert service.execute(NAMES) == [("web",)]
