# SPDX-License-Identifier: MIT
"""Flow 2.3, its part that is one batch: a VPC is hidden with its router, unless it has subnets."""

from __future__ import annotations

import pytest

from batchq import GuardFailed
from tests.flows.datastore.errors import InvalidRequest, NotFound
from tests.flows.datastore.subnet import DEFAULT_BLOCK, NewSubnet, subnet_create
from tests.flows.datastore.vpc import NewVpc, Vpc, vpc_create, vpc_delete, vpc_fetch
from tests.support.lock_waits import race

HAS_SUBNETS = "VPC cannot be deleted while VPC Subnets exist"
STALE = "deletion failed due to concurrent modification"


@pytest.fixture
def vpc(service, project) -> Vpc:
    """A VPC whose subnet has been deleted, as its owner has read it."""
    new = NewVpc(project_id=project.id, name="prod", dns_name="prod")
    service.run(vpc_create(new, range(100, 101)))
    service.execute("UPDATE vpc_subnet SET time_deleted = now()")
    return service.run(vpc_fetch(new.id))


def test_it_hides_the_vpc_and_its_router_in_one_flight(service, vpc):
    service.run(vpc_delete(vpc))
    assert service.execute("SELECT count(*) FROM vpc WHERE time_deleted IS NULL") == [(0,)]
    assert service.execute("SELECT count(*) FROM vpc_router WHERE time_deleted IS NULL") == [(0,)]


def test_what_there_may_be_any_number_of_is_left_to_a_job(service, vpc):
    service.run(vpc_delete(vpc))
    (rules,), (routes,) = (
        service.execute(f"SELECT count(*) FROM {table} WHERE time_deleted IS NULL")[0]
        for table in ("vpc_firewall_rule", "router_route")
    )
    assert (rules, routes) == (3, 3)


def test_reading_one_that_is_gone_is_not_found(service, vpc):
    service.run(vpc_delete(vpc))
    says = f'not found: vpc with id "{vpc.id}"'
    service.refuse(vpc_fetch(vpc.id), NotFound, says, at="vpc_fetch")


def test_deleting_one_that_is_gone_is_not_found(service, vpc):
    service.run(vpc_delete(vpc))
    says = f'not found: vpc with id "{vpc.id}"'
    service.refuse(vpc_delete(vpc), NotFound, says, at="vpc_delete/vpc")


def test_a_living_subnet_is_in_the_way(service, vpc):
    service.execute("UPDATE vpc_subnet SET time_deleted = NULL")
    service.refuse(vpc_delete(vpc), InvalidRequest, HAS_SUBNETS, at="vpc_delete/vpc_subnet")


def test_a_vpc_that_has_changed_since_it_was_read_is_refused(service, vpc):
    service.execute("UPDATE vpc SET subnet_gen = subnet_gen + 1")
    report = service.refuse(vpc_delete(vpc), InvalidRequest, STALE, at="vpc_delete/vpc")
    assert report.violation.row == {"subnet_gen": vpc.subnet_gen + 1}


def test_a_subnet_is_said_before_a_change(service, vpc):
    service.execute("UPDATE vpc SET subnet_gen = subnet_gen + 1")
    service.execute("UPDATE vpc_subnet SET time_deleted = NULL")
    service.refuse(vpc_delete(vpc), InvalidRequest, HAS_SUBNETS, at="vpc_delete/vpc_subnet")


def test_a_vpc_without_its_router_is_a_bug(service, vpc):
    service.execute("DELETE FROM vpc_router")
    service.refuse(vpc_delete(vpc), GuardFailed, at="vpc_delete/router")


@pytest.mark.parametrize("first", ["adding", "deleting"])
def test_a_subnet_that_is_added_at_the_same_time_is_never_orphaned(service, vpc, connect, first):
    block = next(vpc.ipv6_prefix.subnets(new_prefix=64))
    new = NewSubnet(vpc_id=vpc.id, name="late", ipv4_block=DEFAULT_BLOCK, ipv6_block=block)
    adding, deleting = subnet_create(new), vpc_delete(vpc)
    with race(connect) as racing:
        if first == "adding":
            answer = racing.run(adding, deleting)
            assert str(answer.error) == HAS_SUBNETS
        else:
            answer = racing.run(deleting, adding)
            assert type(answer.error) is NotFound
