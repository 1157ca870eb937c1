# SPDX-License-Identifier: MIT
"""The subnet of flow 2.2 on its own: no two of a VPC overlap, and to say it again is no error."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from uuid import uuid4

import attrs
import pytest

from batchq import GuardFailed
from tests.flows.datastore.errors import AlreadyExists, InvalidRequest, NotFound
from tests.flows.datastore.subnet import NewSubnet, subnet_create
from tests.flows.datastore.vpc import NewVpc, vpc_insert
from tests.support.lock_waits import race

OVERLAP = "IP address range '10.0.0.0/22' conflicts with an existing subnet"


@pytest.fixture
def new(service, project) -> NewSubnet:
    vpc = service.run(
        vpc_insert(NewVpc(project_id=project.id, name="prod", dns_name="prod"), range(100, 101))
    )
    return NewSubnet(
        vpc_id=vpc.id,
        name="front",
        ipv4_block=IPv4Network("10.0.0.0/22"),
        ipv6_block=IPv6Network("fd00::/64"),
    )


def apart(new: NewSubnet) -> NewSubnet:
    """Another subnet, none of whose addresses is the first one's."""
    return attrs.evolve(
        new,
        id=uuid4(),
        name="back",
        ipv4_block=IPv4Network("10.0.4.0/22"),
        ipv6_block=IPv6Network("fd01::/64"),
    )


def test_subnets_that_do_not_overlap_live_beside_each_other(service, new):
    assert service.run(subnet_create(new)).created
    assert service.run(subnet_create(apart(new))).created
    assert service.execute("SELECT subnet_gen FROM vpc") == [(3,)]


def test_said_again_it_answers_with_the_row_that_is_there(service, new):
    first = service.run(subnet_create(new))
    second = service.run(subnet_create(new))
    assert (second.row, first.created, second.created) == (first.row, True, False)
    assert service.execute("SELECT count(*) FROM vpc_subnet") == [(1,)]


def test_an_id_that_is_another_subnets_is_ours(service, new):
    service.run(subnet_create(new))
    other = attrs.evolve(apart(new), id=new.id)
    service.refuse(subnet_create(other).label("create"), GuardFailed, at="create/insert")


def test_a_vpc_that_is_gone_is_not_found(service, new):
    service.execute("UPDATE vpc SET time_deleted = now()")
    service.refuse(subnet_create(new), NotFound, f'not found: vpc with id "{new.vpc_id}"', at="vpc")


@pytest.mark.parametrize("block", ["10.0.0.0/22", "10.0.3.0/24", "10.0.0.0/8"])
def test_a_block_that_overlaps_a_living_subnet_is_refused(service, new, block):
    other = service.run(subnet_create(apart(new))).row
    service.execute("UPDATE vpc_subnet SET ipv4_block = %s", block)
    service.refuse(subnet_create(new), InvalidRequest, OVERLAP, at="ipv4")
    service.execute("UPDATE vpc_subnet SET time_deleted = now() WHERE id = %s", other.id)
    assert service.run(subnet_create(new)).created


def test_a_name_that_is_taken_is_the_callers_mistake(service, new):
    service.run(subnet_create(new))
    again = subnet_create(attrs.evolve(apart(new), name="front")).label("create")
    says = 'already exists: vpc subnet "front"'
    service.refuse(again, AlreadyExists, says, at="create/insert")


def test_of_two_that_overlap_at_a_time_the_second_is_refused(service, new, connect):
    other = attrs.evolve(apart(new), ipv4_block=IPv4Network("10.0.0.0/8"))
    with race(connect) as racing:
        answer = racing.run(subnet_create(other), subnet_create(new))
    assert (type(answer.error), str(answer.error)) == (InvalidRequest, OVERLAP)
    assert service.execute("SELECT name FROM vpc_subnet") == [("back",)]
