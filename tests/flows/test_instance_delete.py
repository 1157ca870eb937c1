# SPDX-License-Identifier: MIT
"""Flow 2.12, its third part: an instance deleted, its disks detached, and what hung on it gone."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from batchq import gather
from tests.flows.datastore.disk import NewDisk, disk_attach, disk_create
from tests.flows.datastore.errors import InvalidRequest
from tests.flows.datastore.instance import NewInstance, instance_create, instance_delete

HANGING = {
    "affinity_group_instance_membership": "(group_id, instance_id)",
    "anti_affinity_group_instance_membership": "(group_id, instance_id)",
    "instance_ssh_key": "(ssh_key_id, instance_id)",
    "migration": "(id, instance_id)",
}


@pytest.fixture
def instance(service, project) -> UUID:
    """An instance that has stopped, with a disk and all that can hang on it; and another one."""
    new, other = (
        NewInstance(project_id=project.id, name=name, ncpus=2, memory=1) for name in ("web", "db")
    )
    disk = NewDisk(project_id=project.id, name="boot", size_bytes=1)
    service.run(
        gather(
            instance_create(new),
            instance_create(other),
            disk_create(disk, uuid4()),
            disk_attach(disk.id, new.id),
        )
    )
    service.execute("UPDATE instance SET state = 'no_vmm'")
    for table, columns in HANGING.items():
        for owner in (new.id, other.id):
            service.execute(f"INSERT INTO {table} {columns} VALUES (gen_random_uuid(), %s)", owner)
    return new.id


def test_nothing_is_left_of_it_after_one_flight(service, instance):
    service.run(instance_delete(instance))
    assert service.execute("SELECT state, time_deleted IS NULL FROM instance ORDER BY name") == [
        ("no_vmm", True),
        ("destroyed", False),
    ]
    assert service.execute("SELECT disk_state, attach_instance_id, slot FROM disk") == [
        ("detached", None, None)
    ]
    service.execute("DELETE FROM migration WHERE time_deleted IS NOT NULL")
    for table in HANGING:
        rest = service.execute(f"SELECT instance_id <> %s FROM {table}", instance)
        assert rest == [(True,)]


def test_said_again_it_is_no_error_and_changes_nothing(service, instance):
    service.run(instance_delete(instance))
    before = service.rows()
    service.run(instance_delete(instance))
    assert service.rows() == before


def test_an_instance_that_never_was_is_no_error(service, project):
    service.run(instance_delete(uuid4()))


def test_an_instance_that_failed_can_be_deleted(service, instance):
    service.execute("UPDATE instance SET state = 'failed'")
    service.run(instance_delete(instance))
    assert service.execute("SELECT count(*) FROM instance WHERE state = 'destroyed'") == [(1,)]


def test_an_instance_that_runs_is_not_deleted(service, instance):
    service.execute("UPDATE instance SET state = 'vmm', active_propolis_id = id")
    says = "cannot delete instance: instance is running or has not yet fully stopped"
    service.refuse(instance_delete(instance), InvalidRequest, says, at="instance_delete/instance")


def test_an_instance_in_another_state_is_not_deleted(service, instance):
    service.execute("UPDATE instance SET state = 'creating'")
    says = 'instance cannot be deleted in state "creating"'
    service.refuse(instance_delete(instance), InvalidRequest, says, at="instance_delete/instance")
