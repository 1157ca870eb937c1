# SPDX-License-Identifier: MIT
"""Flow 2.6: the record of an instance, which may be created again and again."""

from __future__ import annotations

from uuid import uuid4

import attrs
import pytest

from batchq import GuardFailed
from tests.flows.datastore.errors import AlreadyExists, NotFound
from tests.flows.datastore.instance import NewInstance, instance_create


@pytest.fixture
def new(project) -> NewInstance:
    return NewInstance(project_id=project.id, name="web", ncpus=2, memory=1 << 30)


def test_it_is_created_in_one_flight(service, new):
    got = service.run(instance_create(new))
    assert got.created
    assert attrs.asdict(got.row) == attrs.asdict(new)
    assert service.execute("SELECT rcgen FROM project") == [(2,)]


def test_said_again_it_answers_with_the_row_that_is_there(service, new):
    first = service.run(instance_create(new))
    table = service.rows()["instance"]
    second = service.run(instance_create(new))
    assert (second.row, second.created) == (first.row, False)
    assert service.rows()["instance"] == table


def test_a_project_that_is_gone_is_not_found(service, new):
    service.execute("UPDATE project SET time_deleted = now()")
    says = f'not found: project with id "{new.project_id}"'
    service.refuse(instance_create(new), NotFound, says, at="instance_create/project")


def test_a_name_that_is_taken_is_the_callers_mistake(service, new):
    service.run(instance_create(new))
    again = instance_create(attrs.evolve(new, id=uuid4()))
    says = 'already exists: instance "web"'
    service.refuse(again, AlreadyExists, says, at="instance_create/insert")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("state = 'no_vmm'", {"state": "no_vmm"}),
        ("state_generation = 2", {"state_generation": 2}),
    ],
    ids=["state", "generation"],
)
def test_an_instance_that_has_gone_on_is_a_bug(service, new, change, found):
    service.run(instance_create(new))
    service.execute(f"UPDATE instance SET {change}")
    report = service.refuse(instance_create(new), GuardFailed, at="instance_create/insert")
    assert report.violation.row == found
