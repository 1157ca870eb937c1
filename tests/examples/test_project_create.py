# SPDX-License-Identifier: MIT
"""project_create, and each way in which it fails."""

from __future__ import annotations

from uuid import uuid4

import attrs
import pytest

from batchq import (
    DecodeFailed,
    GuardFailed,
    InvariantViolation,
    Outcome,
    UnmappedViolation,
    gather,
    run,
    steps,
)
from batchq.result import Failed, attempt
from examples.datastore.errors import AlreadyExists, LimitExceeded, NotFound
from examples.datastore.models import NewProject, NewVpc
from examples.datastore.project import project_create, project_fetch, project_insert
from examples.datastore.vpc import vpc_create, vpc_insert
from tests.support import project_failures


def test_paths_of_the_steps_are_as_documented():
    batch = project_create(NewProject(silo_id=uuid4(), name="web"))
    assert [(step.path, step.statement.title) for step in steps(batch)] == [
        ("project_create/silo", "update silo"),
        ("project_create/project", "insert project"),
        ("project_create/default_vpc/vpc", "insert vpc"),
        ("project_create/default_vpc/router", "insert vpc_router"),
        ("project_create/default_vpc/subnet", "insert vpc_subnet"),
        ("project_create/default_vpc/rules", "insert vpc_firewall_rule"),
        ("project_create/default_vpc/rules", "insert vpc_firewall_rule"),
        ("project_create/limit", "update silo_limits"),
    ]


def test_result_holds_the_rows_that_were_inserted(store, silo):
    new = NewProject(silo_id=silo.id, name="web", description="our shop")
    created = run(store, project_create(new))
    vpc = created.default_vpc
    assert run(store, project_fetch(new.id)) == created.project
    assert (created.project.id, created.project.name) == (new.id, "web")
    assert vpc.vpc.project_id == new.id
    assert vpc.vpc.system_router_id == vpc.router.id
    assert {vpc.router.vpc_id, vpc.subnet.vpc_id, *(r.vpc_id for r in vpc.rules)} == {vpc.vpc.id}
    assert [rule.name for rule in vpc.rules] == ["allow-internal-inbound", "allow-ssh"]
    counted = store.execute(
        "SELECT rcgen, projects_used FROM silo JOIN silo_limits ON silo_id = id"
    ).fetchall()
    assert counted == [(2, 1)]


# -- each failure: what is there before, and what the caller gets ----------------------------------


@pytest.mark.parametrize(
    "failure",
    [
        (project_failures.name_taken, AlreadyExists, "project", "lookup_project_by_silo"),
        (
            project_failures.name_of_a_dead_project_and_limit_reached,
            LimitExceeded,
            "limit",
            "silo_limits_projects_within_limit",
        ),
        (project_failures.id_taken, InvariantViolation, "project", "project_pkey"),
        (project_failures.silo_deleted, NotFound, "silo", None),
        (project_failures.silo_never_was, NotFound, "silo", None),
        (project_failures.no_limits, GuardFailed, "limit", None),
        (
            project_failures.leaked_vpc,
            InvariantViolation,
            "default_vpc/vpc",
            "lookup_vpc_by_project",
        ),
        (project_failures.new_constraint, UnmappedViolation, "project", "project_name_long"),
        (
            project_failures.new_constraint_in_the_vpc,
            UnmappedViolation,
            "default_vpc/subnet",
            "subnet_small",
        ),
    ],
    ids=lambda failure: failure[0].__name__,
)
def test_failure_raises_the_mapped_error_and_applies_nothing(store, silo, rows, failure):
    setting, error, path, violated = failure
    new = NewProject(silo_id=silo.id, name="web")
    setting(store, new)
    before = rows()
    answer = attempt(store, project_create(new))
    assert isinstance(answer, Failed)
    assert type(answer.error) is error
    assert answer.report.path == f"project_create/{path}"
    assert answer.report.violation.constraint == violated
    assert answer.outcome is Outcome.ROLLED_BACK
    assert rows() == before
    with pytest.raises(error):
        run(store, project_create(new))


def test_errors_have_the_services_http_status(store, silo):
    new = NewProject(silo_id=silo.id, name="web")
    run(store, project_create(new))
    with pytest.raises(AlreadyExists, match=r'^already exists: project "web"$') as taken:
        run(store, project_create(attrs.evolve(new, id=uuid4())))
    assert (taken.value.status, LimitExceeded.status, NotFound.status) == (400, 507, 404)


def test_vpc_name_clash_is_the_callers_error_in_vpc_create(store, silo, rows):
    new = NewProject(silo_id=silo.id, name="web")
    run(store, project_create(new))
    before = rows()
    answer = attempt(store, vpc_create(NewVpc(project_id=new.id, name="default")))
    assert isinstance(answer, Failed)
    assert type(answer.error) is AlreadyExists
    assert answer.report.path == "vpc_create/vpc"
    assert rows() == before


def test_vpc_in_a_deleted_project_is_not_found(store, silo, rows):
    before = rows()
    with pytest.raises(NotFound, match="project"):
        run(store, vpc_create(NewVpc(project_id=uuid4(), name="default")))
    assert rows() == before


def test_vpc_without_its_router_fails_at_commit(store, silo, rows):
    new = NewProject(silo_id=silo.id, name="web")
    before = rows()
    answer = attempt(
        store,
        gather(
            project_insert(new).label("project"),
            vpc_insert(NewVpc(project_id=new.id, name="lonely")).label("vpc"),
        ),
    )
    assert isinstance(answer, Failed)
    assert type(answer.error) is InvariantViolation
    assert answer.report.path == "vpc"
    assert answer.report.violation.constraint == "vpc_system_router_id_fkey"
    assert answer.outcome is Outcome.ROLLED_BACK
    assert rows() == before


def test_undecodable_result_is_raised_after_the_commit(store, silo, rows):
    new = NewProject(silo_id=silo.id, name="web")
    with pytest.raises(DecodeFailed) as failed:
        run(store, project_create(new).map(lambda created: created.no_such_thing))
    assert failed.value.outcome is Outcome.COMMITTED
    assert len(rows()["project"]) == 1
