# SPDX-License-Identifier: MIT
"""project_create and project_delete of the example, in one flight each."""

from __future__ import annotations

from uuid import uuid4

import attrs
import pytest

from batchq import GuardFailed, InvariantViolation
from examples.datastore.errors import AlreadyExists, LimitExceeded, NotFound, Refused
from examples.datastore.models import NewProject, NewVpc
from examples.datastore.project import project_create, project_delete
from examples.datastore.vpc import vpc_create
from tests.support.lock_waits import race

ROW = "VALUES (gen_random_uuid(), 'web', %s"
CHILDREN = {
    "an instance": ("instance", f"(id, name, project_id) {ROW})"),
    "a disk": ("disk", f"(id, name, project_id) {ROW})"),
    "a vpc": ("vpc", f"(id, name, project_id, system_router_id) {ROW}, gen_random_uuid())"),
}
"""What a project may contain, as its error calls it: the table, and a row with the name web."""


@pytest.fixture
def new(silo) -> NewProject:
    return NewProject(silo_id=silo.id, name="shop")


def add(service, kind, project_id) -> None:
    table, row = CHILDREN[kind]
    # No router: the foreign key is not what these tests are about.
    service.execute("ALTER TABLE vpc DROP CONSTRAINT IF EXISTS vpc_system_router_id_fkey")
    service.execute(f"INSERT INTO {table} {row}", project_id)


def test_project_create_takes_one_flight_and_counts_against_the_limit(service, new):
    made = service.run(project_create(new))
    assert (made.project.id, made.default_vpc.vpc.project_id) == (new.id, new.id)
    assert service.execute("SELECT rcgen FROM silo") == [(2,)]
    assert service.execute("SELECT projects_used FROM silo_limits") == [(1,)]


SCENES = {
    "deleted silo": ("UPDATE silo SET time_deleted = now()", NotFound, "silo"),
    "limit reached": ("UPDATE silo_limits SET projects_limit = 0", LimitExceeded, "limit"),
    "no limit": ("DELETE FROM silo_limits", GuardFailed, "limit"),
}


@pytest.mark.parametrize("scene", SCENES)
def test_project_create_fails_with_the_error_of_the_step(service, new, scene):
    statement, error, step = SCENES[scene]
    service.execute(statement)
    texts = {
        NotFound: f'not found: silo "{new.silo_id}"',
        LimitExceeded: f'limit exceeded: projects of silo "{new.silo_id}"',
    }
    flow = project_create(new)
    service.refuse(flow, error, texts.get(error), at=f"project_create/{step}")


def test_project_create_rejects_a_taken_name_and_a_taken_id(service, new):
    service.run(project_create(new))
    same_name = project_create(attrs.evolve(new, id=uuid4()))
    text = 'already exists: project "shop"'
    service.refuse(same_name, AlreadyExists, text, at="project_create/project")
    same_id = project_create(attrs.evolve(new, name="other"))
    service.refuse(same_id, InvariantViolation, at="project_create/project")


def test_project_delete_takes_one_flight(service, project):
    service.run(project_delete(project))
    assert service.execute("SELECT time_deleted IS NULL, rcgen FROM project") == [(False, 2)]


@pytest.mark.parametrize("kind", CHILDREN)
def test_project_delete_names_the_child_that_prevents_it(service, project, kind):
    add(service, kind, project.id)
    text = f"the project contains {kind}: web"
    table, _ = CHILDREN[kind]
    report = service.refuse(project_delete(project), Refused, text, at=f"project_delete/{table}")
    assert report.violation.row["name"] == "web"
    service.execute(f"UPDATE {table} SET time_deleted = now()")
    service.run(project_delete(project))


def test_project_delete_names_the_first_of_several_kinds(service, project):
    for kind in CHILDREN:
        add(service, kind, project.id)
    text = "the project contains an instance: web"
    service.refuse(project_delete(project), Refused, text, at="project_delete/instance")


def test_project_delete_ignores_children_of_another_project(service, project):
    for kind in CHILDREN:
        add(service, kind, uuid4())
    service.run(project_delete(project))


def test_project_delete_rejects_a_project_changed_since_it_was_read(service, project):
    service.execute("UPDATE project SET rcgen = rcgen + 1")
    text = "deletion failed due to concurrent modification"
    report = service.refuse(project_delete(project), Refused, text, at="project_delete/project")
    assert report.violation.row == {"rcgen": project.rcgen + 1}


def test_project_delete_does_not_find_a_deleted_project(service, project):
    service.run(project_delete(project))
    text = f'not found: project "{project.id}"'
    service.refuse(project_delete(project), NotFound, text, at="project_delete/project")


@pytest.mark.parametrize("first", ["create", "delete"])
def test_project_delete_orphans_no_vpc_created_at_the_same_time(service, project, connect, first):
    create = vpc_create(NewVpc(project_id=project.id, name="late"))
    with race(connect) as racing:
        if first == "create":
            answer = racing.run(create, project_delete(project))
            assert str(answer.error) == "the project contains a vpc: late"
        else:
            answer = racing.run(project_delete(project), create)
            assert type(answer.error) is NotFound
