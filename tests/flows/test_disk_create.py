# SPDX-License-Identifier: MIT
"""Flow 2.12, its first part: a disk and where its bytes are, created as often as it is said."""

from __future__ import annotations

from uuid import uuid4

import attrs
import pytest

from batchq import GuardFailed, InvariantViolation
from tests.flows.datastore.disk import NewDisk, disk_create
from tests.flows.datastore.errors import AlreadyExists, NotFound

VOLUME = uuid4()


@pytest.fixture
def new(project) -> NewDisk:
    return NewDisk(project_id=project.id, name="boot", size_bytes=1 << 30)


def test_both_rows_are_created_in_one_flight(service, new):
    got = service.run(disk_create(new, VOLUME))
    assert (got.created, got.row.id, got.row.disk_state) == (True, new.id, "creating")
    assert service.execute("SELECT * FROM disk_type_crucible") == [(new.id, VOLUME)]


def test_said_again_it_answers_with_the_row_that_is_there(service, new):
    first = service.run(disk_create(new, VOLUME))
    before = service.rows()
    second = service.run(disk_create(new, VOLUME))
    assert (second.row, second.created) == (first.row, False)
    assert {**service.rows(), "project": None} == {**before, "project": None}


def test_a_project_that_is_gone_is_not_found(service, new):
    service.execute("UPDATE project SET time_deleted = now()")
    says = f'not found: project with id "{new.project_id}"'
    service.refuse(disk_create(new, VOLUME), NotFound, says, at="disk_create/project")


def test_a_name_that_is_taken_is_the_callers_mistake(service, new):
    service.run(disk_create(new, VOLUME))
    again = disk_create(attrs.evolve(new, id=uuid4()), uuid4())
    says = 'already exists: disk "boot"'
    service.refuse(again, AlreadyExists, says, at="disk_create/disk/insert")


@pytest.mark.parametrize(
    "change", ["disk_state = 'detached'", "state_generation = 2"], ids=["state", "generation"]
)
def test_a_disk_that_has_gone_on_is_a_bug(service, new, change):
    service.run(disk_create(new, VOLUME))
    service.execute(f"UPDATE disk SET {change}")
    service.refuse(disk_create(new, VOLUME), GuardFailed, at="disk_create/disk/insert")


def test_a_disk_of_another_volume_is_a_bug(service, new):
    service.run(disk_create(new, VOLUME))
    service.refuse(disk_create(new, uuid4()), GuardFailed, at="disk_create/crucible/insert")


def test_a_volume_of_another_disk_is_a_bug(service, new):
    service.run(disk_create(new, VOLUME))
    other = attrs.evolve(new, id=uuid4(), name="data")
    report = service.refuse(
        disk_create(other, VOLUME), InvariantViolation, at="disk_create/crucible/insert"
    )
    assert report.context == "giving a disk a volume of its own"
    assert report.violation.constraint == "lookup_disk_by_volume_id"
