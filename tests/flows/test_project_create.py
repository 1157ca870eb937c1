# SPDX-License-Identifier: MIT
"""Flow 2.1: a project with its default VPC, counted against the limit of its silo."""

from __future__ import annotations

from uuid import uuid4

import attrs
import pytest

from batchq import GuardFailed, InvariantViolation
from tests.flows.datastore.errors import AlreadyExists, InsufficientCapacity, NotFound
from tests.flows.datastore.project import NewProject, project_create
from tests.flows.datastore.vpc import VniRangeExhausted, with_free_vni
from tests.flows.meddling import MEDDLING

VNIS = range(100, 102)


@pytest.fixture
def new(silo) -> NewProject:
    return NewProject(silo_id=silo, name="web")


def test_it_creates_all_of_it_in_one_flight(service, new):
    made = service.run(project_create(new, VNIS))
    assert made.project.id == new.id
    assert made.default_vpc.vpc.project_id == new.id
    assert service.execute("SELECT rcgen FROM silo") == [(2,)]
    assert service.execute("SELECT nprojects FROM limits") == [(1,)]
    assert service.execute(
        "SELECT id, collection_type, cpus_provisioned FROM virtual_provisioning_collection"
    ) == [(new.id, "Project", 0)]


def test_a_silo_that_is_gone_is_not_found(service, new):
    service.execute("UPDATE silo SET time_deleted = now()")
    says = f'not found: silo with id "{new.silo_id}"'
    service.refuse(project_create(new, VNIS), NotFound, says, at="project_create/silo")


def test_a_name_that_is_taken_is_the_callers_mistake(service, new):
    service.run(project_create(new, VNIS))
    again = project_create(attrs.evolve(new, id=uuid4()), VNIS)
    says = 'already exists: project "web"'
    service.refuse(again, AlreadyExists, says, at="project_create/project")


def test_an_id_that_is_taken_is_ours(service, new):
    service.run(project_create(new, VNIS))
    again = project_create(attrs.evolve(new, name="other"), VNIS)
    service.refuse(again, InvariantViolation, at="project_create/project")


def test_a_stale_count_of_what_is_provisioned_is_not_adopted(service, new):
    service.execute(
        "INSERT INTO virtual_provisioning_collection VALUES (%s, now(), 'Project', 1, 1, 1)", new.id
    )
    service.refuse(project_create(new, VNIS), InvariantViolation, at="project_create/provisioning")


def test_one_project_more_than_the_limit_has_no_room(service, new):
    service.execute("UPDATE limits SET max_nprojects = 0")
    says = "this silo has room for no more projects"
    service.refuse(project_create(new, VNIS), InsufficientCapacity, says, at="project_create/limit")


def test_a_silo_without_a_limit_is_no_silent_pass(service, new):
    service.execute("DELETE FROM limits")
    service.refuse(project_create(new, VNIS), GuardFailed, at="project_create/limit")


@pytest.mark.parametrize("meddling", MEDDLING.values(), ids=MEDDLING)
def test_what_a_vpcs_creation_says_is_ours_inside(service, new, meddling):
    service.meddle(meddling.table, meddling.statement)
    report = service.refuse(
        project_create(new, VNIS),
        InvariantViolation,
        at=f"project_create/vpc_create/{meddling.at}",
    )
    assert report.context == "creating the default VPC"


def test_a_default_vpc_that_is_there_is_ours(service, new):
    service.meddle(
        "project",
        "INSERT INTO vpc (id, name, project_id, system_router_id, dns_name, vni, ipv6_prefix)"
        "VALUES (NEW.id, 'default', NEW.id, NEW.id, '', 7, 'fd00::/48')",
    )
    service.refuse(
        project_create(new, VNIS), InvariantViolation, at="project_create/vpc_create/vpc"
    )


def test_a_project_that_is_gone_when_its_vpc_is_created_is_ours(service, new):
    service.meddle("project", "UPDATE project SET time_deleted = now()")
    service.refuse(
        project_create(new, VNIS), InvariantViolation, at="project_create/vpc_create/vpc/project"
    )


def test_a_range_without_a_free_vni_is_no_bug_inside_either(service, new):
    service.run(project_create(new, VNIS))
    more = NewProject(silo_id=new.silo_id, name="more")
    service.refuse(
        project_create(more, VNIS[:1]), VniRangeExhausted, at="project_create/vpc_create/vpc"
    )
    made = with_free_vni(service.conn, lambda vnis: project_create(more, vnis), [VNIS[:1], VNIS])
    assert made.default_vpc.vpc.vni == VNIS[1]
