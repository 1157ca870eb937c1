# SPDX-License-Identifier: MIT
"""Flow 2.2: a VPC with its router, routes, subnet, firewall rules and gateway."""

from __future__ import annotations

from ipaddress import IPv4Network
from uuid import uuid4

import attrs
import pytest

from batchq import InvariantViolation, run
from tests.flows.datastore.errors import AlreadyExists, InsufficientCapacity, NotFound
from tests.flows.datastore.router import NewRoute, route_create
from tests.flows.datastore.vpc import (
    NewVpc,
    VniRangeExhausted,
    vpc_create,
    vpc_fetch,
    vpc_insert,
    with_free_vni,
)
from tests.flows.meddling import MEDDLING
from tests.support.lock_waits import race

VNIS = range(100, 102)


@pytest.fixture
def new(project) -> NewVpc:
    return NewVpc(project_id=project.id, name="prod", dns_name="prod")


def another(new: NewVpc) -> NewVpc:
    return attrs.evolve(new, id=uuid4(), system_router_id=uuid4(), name=f"not {new.name}")


def test_it_creates_all_of_it_in_one_flight(service, new):
    made = service.run(vpc_create(new, VNIS))
    assert (made.vpc.id, made.vpc.vni) == (new.id, VNIS[0])
    assert made.router.id == new.system_router_id
    assert made.route_v4.vpc_router_id == made.route_v6.vpc_router_id == made.router.id
    assert made.subnet.ipv4_block == IPv4Network("172.30.0.0/22")
    assert made.subnet_route.vpc_subnet_id == made.subnet.id
    assert [rule.name for rule in made.rules] == sorted(rule.name for rule in made.rules)
    assert {made.subnet.vpc_id, made.gateway.vpc_id, *(r.vpc_id for r in made.rules)} == {new.id}


def test_each_kind_of_children_has_bumped_its_parent_once(service, new):
    service.run(vpc_create(new, VNIS))
    assert service.execute("SELECT rcgen FROM project") == [(2,)]
    assert service.execute("SELECT subnet_gen, firewall_gen FROM vpc") == [(2, 2)]
    assert service.execute("SELECT rcgen FROM vpc_router") == [(2,)]  # three routes


def test_a_project_that_is_gone_is_not_found(service, new):
    service.execute("UPDATE project SET time_deleted = now()")
    says = f'not found: project with id "{new.project_id}"'
    service.refuse(vpc_create(new, VNIS), NotFound, says, at="vpc_create/vpc/project")


def test_a_name_that_is_taken_is_the_callers_mistake(service, new):
    service.run(vpc_create(new, VNIS))
    again = vpc_create(attrs.evolve(another(new), name=new.name), VNIS)
    says = 'already exists: vpc "prod"'
    service.refuse(again, AlreadyExists, says, at="vpc_create/vpc")


def test_an_id_that_is_taken_is_ours(service, new):
    service.run(vpc_create(new, VNIS))
    again = vpc_create(attrs.evolve(another(new), id=new.id), VNIS)
    service.refuse(again, InvariantViolation, at="vpc_create/vpc")


@pytest.mark.parametrize("meddling", MEDDLING.values(), ids=MEDDLING)
def test_what_comes_between_its_steps_is_said_of_the_step_that_it_stops(service, new, meddling):
    service.meddle(meddling.table, meddling.statement)
    flow = vpc_create(new, VNIS)
    service.refuse(flow, meddling.error, meddling.says, at=f"vpc_create/{meddling.at}")


def test_a_route_to_a_subnet_that_names_none_is_ours(service, new):
    made = service.run(vpc_create(new, VNIS))
    route = attrs.evolve(
        NewRoute.to_subnet(made.router.id, made.subnet.id, "x"), vpc_subnet_id=None
    )
    service.refuse(route_create(route).label("route"), InvariantViolation, at="route")


class TestVni:
    def test_it_is_the_first_that_no_living_vpc_has(self, service, new):
        first = service.run(vpc_create(new, VNIS)).vpc
        second = service.run(vpc_create(another(new), VNIS)).vpc
        service.execute("UPDATE vpc SET time_deleted = now() WHERE id = %s", first.id)
        third = service.run(vpc_create(new := another(another(new)), VNIS)).vpc
        assert [first.vni, second.vni, third.vni] == [100, 101, 100]

    def test_a_range_without_one_is_for_the_caller_to_leave(self, service, new):
        service.run(vpc_create(new, VNIS))
        flow = vpc_create(another(new), VNIS[:1])
        service.refuse(flow, VniRangeExhausted, at="vpc_create/vpc")

    def test_the_next_range_is_tried(self, service, new):
        service.run(vpc_create(new, VNIS))
        made = with_free_vni(
            service.conn, lambda vnis: vpc_create(another(new), vnis), [VNIS[:1], VNIS[1:]]
        )
        assert made.vpc.vni == VNIS[1]

    def test_when_all_ranges_are_exhausted_there_is_no_room(self, service, new):
        service.run(vpc_create(new, VNIS))
        before = service.rows()
        with pytest.raises(InsufficientCapacity, match=r"^No free virtual network was found$"):
            with_free_vni(service.conn, lambda vnis: vpc_create(another(new), vnis), [VNIS[:1]] * 2)
        assert service.rows() == before

    def test_two_who_pick_the_same_at_a_time_are_no_name_clash(self, service, new, connect):
        with race(connect) as racing:
            answer = racing.run(vpc_insert(new, VNIS), vpc_insert(another(new), VNIS))
        assert type(answer.error) is InvariantViolation
        assert answer.report.violation.constraint == "lookup_vpc_by_vni"
        assert run(service.conn, vpc_fetch(new.id)).vni == VNIS[0]
