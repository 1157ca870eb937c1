# SPDX-License-Identifier: MIT
"""A VPC with its router, routes, subnet, rules and VNI in one flight; and a failure at each step.

The same batch inside another one maps its failures to InvariantViolation: there they are bugs.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import uuid4

import attrs
import pytest

from batchq import GuardFailed, InvariantViolation, run
from examples.datastore.errors import AlreadyExists, LimitExceeded, NotFound, Refused, VpcHasSubnets
from examples.datastore.models import NewProject, NewSubnet, NewVpc, Vpc
from examples.datastore.subnet import subnet_create
from examples.datastore.vpc import DEFAULT_BLOCK, vpc_create, vpc_fetch
from examples.datastore.vpc_delete import vpc_delete
from tests.flows.networks import (
    VniRangeExhausted,
    network_create,
    project_with_network,
    vni_of,
    vni_take,
    with_free_vni,
)
from tests.support.lock_waits import race

VNIS = range(100, 102)


class Between(NamedTuple):
    """A statement that runs after an insert into a table, and the error that the flow ends in."""

    table: str
    statement: str
    error: type[Exception]
    text: str | None
    at: str


_ROUTE = "INSERT INTO router_route VALUES (gen_random_uuid(), {}, 'default-v6', '10.0.0.0/8', '')"
BETWEEN = {
    "lookup_router_by_vpc": Between(
        "vpc",
        "INSERT INTO vpc_router (id, vpc_id, kind, name)"
        "VALUES (gen_random_uuid(), NEW.id, 'system', 'system')",
        AlreadyExists,
        'already exists: router "system"',
        "vpc/vpc_create/router",
    ),
    "vpc_subnet_vpc_id_name_key": Between(
        "vpc",
        "INSERT INTO vpc_subnet (id, vpc_id, name, ipv4_block)"
        "VALUES (gen_random_uuid(), NEW.id, 'default', '10.0.0.0/24')",
        AlreadyExists,
        'already exists: subnet "default"',
        "vpc/vpc_create/subnet",
    ),
    "lookup_firewall_by_vpc": Between(
        "vpc",
        "INSERT INTO vpc_firewall_rule VALUES"
        "(gen_random_uuid(), NEW.id, 'allow-ssh', 'inbound', 'allow', '{}', 1)",
        AlreadyExists,
        'already exists: firewall rule "allow-ssh"',
        "vpc/vpc_create/rules",
    ),
    "the limit is reached": Between(
        "vpc",
        "UPDATE project SET vpcs_limit = vpcs_used",
        LimitExceeded,
        None,
        "vpc/vpc_create/limit",
    ),
    "the VNI is given already": Between(
        "vpc", "INSERT INTO vpc_vni VALUES (NEW.id, 7)", InvariantViolation, None, "vni"
    ),
    "the router is deleted": Between(
        "vpc_vni",
        "UPDATE vpc_router SET time_deleted = now()",
        NotFound,
        None,
        "routes/route_create/vpc_router",
    ),
    "the vpc is deleted": Between(
        "vpc_vni",
        "UPDATE vpc SET time_deleted = now()",
        NotFound,
        None,
        "routes/route_create/vpc",
    ),
    "lookup_route_by_router": Between(
        "vpc_router",
        _ROUTE.format("NEW.id"),
        AlreadyExists,
        'already exists: route "default-v6"',
        "routes/route_create",
    ),
}
BOTH = pytest.mark.parametrize("between", BETWEEN.values(), ids=BETWEEN)


@pytest.fixture
def new(project) -> NewVpc:
    return NewVpc(project_id=project.id, name="prod")


def another(new: NewVpc) -> NewVpc:
    return attrs.evolve(new, id=uuid4(), system_router_id=uuid4(), name=f"not {new.name}")


def test_network_create_takes_one_flight(service, new):
    made = service.run(network_create(new, VNIS))
    assert (made.vpc.id, made.router.id) == (new.id, new.system_router_id)
    assert {made.subnet.vpc_id, made.router.vpc_id, *(r.vpc_id for r in made.rules)} == {new.id}
    assert made.subnet.ipv4_block == DEFAULT_BLOCK
    assert service.execute("SELECT vpc_id, vni FROM vpc_vni") == [(new.id, VNIS[0])]
    assert service.execute("SELECT count(*) FROM router_route") == [(2,)]


def test_network_create_changes_each_parent_once(service, new):
    service.run(network_create(new, VNIS))
    assert service.execute("SELECT rcgen FROM project") == [(2,)]
    assert service.execute("SELECT rcgen FROM vpc_router") == [(2,)]  # two routes


def test_network_create_does_not_find_a_deleted_project(service, new):
    service.execute("UPDATE project SET time_deleted = now()")
    text = f'not found: project "{new.project_id}"'
    service.refuse(
        network_create(new, VNIS), NotFound, text, at="network_create/vpc/vpc_create/project"
    )


def test_network_create_rejects_a_taken_name_and_a_taken_id(service, new):
    service.run(network_create(new, VNIS))
    same_name = network_create(attrs.evolve(another(new), name=new.name), VNIS)
    at = "network_create/vpc/vpc_create/vpc"
    service.refuse(same_name, AlreadyExists, 'already exists: vpc "prod"', at=at)
    same_id = network_create(attrs.evolve(another(new), id=new.id), VNIS)
    service.refuse(same_id, InvariantViolation, at=at)


@BOTH
def test_network_create_maps_what_happens_between_its_steps(service, new, between):
    service.interpose(between.table, between.statement)
    flow = network_create(new, VNIS)
    service.refuse(flow, between.error, between.text, at=f"network_create/{between.at}")


@BOTH
def test_network_create_inside_a_project_maps_the_same_to_a_bug(service, silo, between):
    service.interpose(between.table, between.statement)
    flow = project_with_network(NewProject(silo_id=silo.id, name="web"), VNIS)
    report = service.refuse(flow, InvariantViolation, at=f"project/network_create/{between.at}")
    assert report.context == "creating the default network"


def test_project_deleted_before_its_network_is_a_bug(service, silo):
    service.interpose("project", "UPDATE project SET time_deleted = now()")
    flow = project_with_network(NewProject(silo_id=silo.id, name="web"), VNIS)
    at = "project/network_create/vpc/vpc_create/project"
    service.refuse(flow, InvariantViolation, at=at)


class TestVni:
    def test_vni_is_the_first_that_is_free(self, service, new):
        vpcs = [new, another(new), another(another(new))]
        for vpc in vpcs[:2]:
            service.run(network_create(vpc, VNIS))
        service.execute("DELETE FROM vpc_vni WHERE vpc_id = %s", new.id)
        service.run(network_create(vpcs[2], VNIS))
        assert [run(service.conn, vni_of(vpc.id)) for vpc in vpcs[1:]] == [101, 100]

    def test_exhausted_range_is_reported_to_the_caller(self, service, new):
        service.run(network_create(new, VNIS))
        flow = network_create(another(new), VNIS[:1])
        service.refuse(flow, VniRangeExhausted, at="network_create/vni")

    def test_exhausted_range_is_not_a_bug_inside_a_project_either(self, service, silo):
        first, second = (NewProject(silo_id=silo.id, name=name) for name in ("web", "shop"))
        service.run(project_with_network(first, VNIS))
        flow = project_with_network(second, VNIS[:1])
        service.refuse(flow, VniRangeExhausted, at="project/network_create/vni")
        with_free_vni(
            service.conn, lambda vnis: project_with_network(second, vnis), [VNIS[:1], VNIS]
        )
        assert service.execute("SELECT max(vni) FROM vpc_vni") == [(VNIS[1],)]

    def test_all_ranges_exhausted_is_a_limit_and_applies_nothing(self, service, new):
        service.run(network_create(new, VNIS))
        before = service.rows()
        with pytest.raises(LimitExceeded):
            with_free_vni(
                service.conn, lambda vnis: network_create(another(new), vnis), [VNIS[:1]] * 2
            )
        assert service.rows() == before

    def test_same_vni_picked_by_two_sessions_is_a_bug_and_no_name_clash(self, service, connect):
        with race(connect) as racing:
            answer = racing.run(vni_take(one := uuid4(), VNIS), vni_take(uuid4(), VNIS))
        assert type(answer.error) is InvariantViolation
        assert answer.report.violation.constraint == "vpc_vni_vni_key"
        assert run(service.conn, vni_of(one)) == VNIS[0]


class TestVpcDelete:
    @pytest.fixture
    def vpc(self, service, new) -> Vpc:
        """Create a VPC and delete its subnet; return it as its owner has read it."""
        service.run(vpc_create(new))
        service.execute("UPDATE vpc_subnet SET time_deleted = now()")
        return service.run(vpc_fetch(new.id))

    def test_vpc_delete_takes_one_flight(self, service, vpc):
        service.run(vpc_delete(vpc))
        assert service.execute("SELECT count(*) FROM vpc WHERE time_deleted IS NULL") == [(0,)]
        text = f'not found: vpc "{vpc.id}"'
        service.refuse(vpc_fetch(vpc.id), NotFound, text, at="vpc_fetch/vpc")

    def test_vpc_delete_names_a_subnet_before_a_change(self, service, vpc):
        service.execute("UPDATE vpc SET rcgen = rcgen + 1")
        service.execute("UPDATE vpc_subnet SET time_deleted = NULL")
        text = "the vpc contains a subnet: default"
        service.refuse(vpc_delete(vpc), VpcHasSubnets, text, at="vpc_delete/vpc_subnet")

    def test_vpc_delete_rejects_a_vpc_changed_since_it_was_read(self, service, vpc):
        service.execute("UPDATE vpc SET rcgen = rcgen + 1")
        text = "deletion failed due to concurrent modification"
        report = service.refuse(vpc_delete(vpc), Refused, text, at="vpc_delete/vpc")
        assert report.violation.row == {"rcgen": vpc.rcgen + 1}

    def test_vpc_delete_without_its_limit_is_a_bug(self, service, vpc):
        service.execute("DELETE FROM project")
        service.refuse(vpc_delete(vpc), GuardFailed, at="vpc_delete/limit")

    @pytest.mark.parametrize("first", ["create", "delete"])
    def test_vpc_delete_orphans_no_subnet_created_at_the_same_time(self, vpc, connect, first):
        create = subnet_create(NewSubnet(vpc_id=vpc.id, name="late", ipv4_block=DEFAULT_BLOCK))
        with race(connect) as racing:
            if first == "create":
                answer = racing.run(create, vpc_delete(vpc))
                assert str(answer.error) == "the vpc contains a subnet: late"
            else:
                answer = racing.run(vpc_delete(vpc), create)
                assert type(answer.error) is NotFound
