# SPDX-License-Identifier: MIT
"""Instances and disks, created, attached and deleted, each as often as the caller repeats it."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID, uuid4

import attrs
import pytest

from batchq import GuardFailed, InvariantViolation, gather
from examples.datastore.errors import AlreadyExists, NotFound, Refused
from tests.flows.instances import (
    MAX_DISKS_PER_INSTANCE,
    NewDisk,
    NewInstance,
    disk_attach,
    disk_create,
    instance_create,
    instance_delete,
)
from tests.support.lock_waits import race

VOLUME = uuid4()


ATTACH_SCENES = {
    "instance deleted": ("instance SET time_deleted = now()", NotFound, None, "instance"),
    "instance running": (
        "instance SET state = 'running', vmm_id = id",
        Refused,
        "a disk cannot be attached in state running",
        "instance",
    ),
    "disk deleted": ("disk SET time_deleted = now()", NotFound, None, "disk"),
    "disk faulted": (
        "disk SET state = 'faulted'",
        Refused,
        "a disk cannot be attached that is faulted",
        "disk",
    ),
    "disk of another instance": (
        "disk SET state = 'attached', instance_id = gen_random_uuid()",
        Refused,
        "the disk is attached to another instance",
        "disk",
    ),
}


class Machine(NamedTuple):
    """An instance and three disks that are not attached."""

    id: UUID
    disks: tuple[UUID, ...]


@pytest.fixture
def instance(project) -> NewInstance:
    return NewInstance(project_id=project.id, name="web")


@pytest.fixture
def disk(project) -> NewDisk:
    return NewDisk(project_id=project.id, name="boot")


@pytest.fixture
def machine(service, instance) -> Machine:
    disks = [NewDisk(project_id=instance.project_id, name=name) for name in ("a", "b", "c")]
    service.run(gather(instance_create(instance), *(disk_create(disk, uuid4()) for disk in disks)))
    return Machine(instance.id, tuple(disk.id for disk in disks))


class TestCreate:
    """Instances and disks are created alike."""

    @pytest.fixture(params=["instance", "disk"])
    def create(self, request, instance, disk):
        """Return the batch that creates one, with some fields changed; and its name."""
        if request.param == "instance":
            return lambda **new: instance_create(attrs.evolve(instance, **new))
        return lambda **new: disk_create(
            attrs.evolve(disk, **new), uuid4() if "id" in new else VOLUME
        )

    @pytest.fixture
    def kind(self, request):
        return request.node.callspec.params["create"]

    def test_row_is_created_in_one_flight(self, service, create, project):
        got = service.run(create())
        assert (got.created, got.row.project_id, got.row.state) == (True, project.id, "creating")
        assert service.execute("SELECT rcgen FROM project") == [(2,)]

    def test_repeated_create_returns_the_existing_row(self, service, create):
        first = service.run(create())
        before = service.rows()
        second = service.run(create())
        assert (second.row, second.created) == (first.row, False)
        assert {**service.rows(), "project": None} == {**before, "project": None}

    def test_deleted_project_is_not_found(self, service, create, kind, project):
        service.execute("UPDATE project SET time_deleted = now()")
        text = f'not found: project "{project.id}"'
        service.refuse(create(), NotFound, text, at=f"{kind}_create/project")

    def test_taken_name_is_rejected(self, service, create, kind):
        name = service.run(create()).row.name
        at = {"instance": "instance_create/insert", "disk": "disk_create/disk/insert"}[kind]
        text = f'already exists: {kind} "{name}"'
        service.refuse(create(id=uuid4()), AlreadyExists, text, at=at)

    @pytest.mark.parametrize(("column", "value"), [("state", "detached"), ("state_generation", 2)])
    def test_row_that_has_changed_since_is_a_bug(self, service, create, kind, column, value):
        service.run(create())
        service.execute(f"UPDATE {kind} SET {column} = %s", value)
        at = {"instance": "instance_create/insert", "disk": "disk_create/disk/insert"}[kind]
        report = service.refuse(create(), GuardFailed, at=at)
        assert report.violation.row == {column: value}


class TestDiskVolume:
    def test_volume_is_recorded_with_the_disk(self, service, disk):
        service.run(disk_create(disk, VOLUME))
        assert service.execute("SELECT * FROM disk_volume") == [(disk.id, VOLUME)]

    def test_another_volume_of_the_same_disk_is_a_bug(self, service, disk):
        service.run(disk_create(disk, VOLUME))
        flow = disk_create(disk, uuid4())
        service.refuse(flow, GuardFailed, at="disk_create/volume/insert")

    def test_volume_of_another_disk_is_a_bug(self, service, disk):
        service.run(disk_create(disk, VOLUME))
        flow = disk_create(attrs.evolve(disk, id=uuid4(), name="data"), VOLUME)
        report = service.refuse(flow, InvariantViolation, at="disk_create/volume/insert")
        assert report.context == "giving a disk a volume of its own"
        assert report.violation.constraint == "disk_volume_volume_id_key"


class TestDiskAttach:
    def test_disk_takes_the_first_free_slot_in_one_flight(self, service, machine):
        made = [service.run(disk_attach(disk, machine.id)) for disk in machine.disks]
        assert [(disk.state, disk.slot) for disk in made] == [("attached", n) for n in range(3)]
        assert {disk.instance_id for disk in made} == {machine.id}
        detached = "instance_id = NULL, slot = NULL, state = 'detached'"
        service.execute(f"UPDATE disk SET {detached} WHERE id = %s", machine.disks[1])
        assert service.run(disk_attach(machine.disks[1], machine.id)).slot == 1

    def test_repeated_attach_changes_nothing(self, service, machine):
        first = service.run(disk_attach(machine.disks[0], machine.id, at_most=1))
        before = service.rows()
        assert service.run(disk_attach(machine.disks[0], machine.id, at_most=1)) == first
        assert service.rows() == before

    def test_disk_beyond_the_capacity_is_rejected(self, service, machine):
        service.execute(
            "INSERT INTO disk (id, name, project_id, state, instance_id, slot)"
            "SELECT gen_random_uuid(), 'disk-' || n, gen_random_uuid(), 'attached', %s, n "
            "FROM generate_series(0, %s - 1) AS n",
            machine.id,
            MAX_DISKS_PER_INSTANCE,
        )
        flow = disk_attach(machine.disks[0], machine.id)
        service.refuse(flow, Refused, "more than 12 disks", at="disk_attach/capacity")

    @pytest.mark.parametrize("scene", ATTACH_SCENES)
    def test_attach_fails_with_what_the_server_found(self, service, machine, scene):
        change, error, text, step = ATTACH_SCENES[scene]
        service.execute(f"UPDATE {change}")
        flow = disk_attach(machine.disks[0], machine.id)
        service.refuse(flow, error, text, at=f"disk_attach/{step}")

    def test_second_of_two_at_the_same_time_exceeds_the_capacity(self, machine, connect):
        first, second, _ = machine.disks
        with race(connect) as racing:
            answer = racing.run(
                disk_attach(first, machine.id, at_most=1),
                disk_attach(second, machine.id, at_most=1),
            )
        assert str(answer.error) == "more than 1 disks"

    def test_no_disk_is_attached_to_an_instance_being_deleted(self, service, machine, connect):
        service.execute("UPDATE instance SET state = 'stopped'")
        with race(connect) as racing:
            answer = racing.run(
                instance_delete(machine.id), disk_attach(machine.disks[0], machine.id)
            )
        assert type(answer.error) is NotFound
        assert service.execute("SELECT count(*) FROM disk WHERE slot IS NOT NULL") == [(0,)]


class TestInstanceDelete:
    @pytest.fixture
    def stopped(self, service, machine) -> UUID:
        """Create an instance with a disk and rows that refer to it, and another such instance."""
        other = uuid4()
        service.execute(
            "INSERT INTO instance (id, project_id, name) VALUES (%s, gen_random_uuid(), 'db')",
            other,
        )
        service.run(disk_attach(machine.disks[0], machine.id))
        service.execute("UPDATE instance SET state = 'stopped'")
        for owner in (machine.id, other):
            service.execute("INSERT INTO instance_ssh_key VALUES (%s, gen_random_uuid())", owner)
            service.execute("INSERT INTO migration VALUES (gen_random_uuid(), %s)", owner)
        return machine.id

    def test_delete_leaves_nothing_of_it_in_one_flight(self, service, stopped):
        service.run(instance_delete(stopped))
        assert service.execute(
            "SELECT state, time_deleted IS NULL FROM instance ORDER BY name"
        ) == [
            ("stopped", True),
            ("destroyed", False),
        ]
        attached = "SELECT count(*) FROM disk WHERE instance_id IS NOT NULL OR slot IS NOT NULL"
        assert service.execute(attached) == [(0,)]
        assert service.execute("SELECT count(*) FROM disk WHERE state = 'detached'") == [(1,)]
        service.execute("DELETE FROM migration WHERE time_deleted IS NOT NULL")
        for table in ("instance_ssh_key", "migration"):
            rest = service.execute(f"SELECT instance_id <> %s FROM {table}", stopped)
            assert rest == [(True,)]

    def test_repeated_delete_changes_nothing(self, service, stopped):
        service.run(instance_delete(stopped))
        before = service.rows()
        service.run(instance_delete(stopped))
        service.run(instance_delete(uuid4()))
        assert service.rows() == before

    def test_failed_instance_can_be_deleted(self, service, stopped):
        service.execute("UPDATE instance SET state = 'failed'")
        service.run(instance_delete(stopped))
        assert service.execute("SELECT count(*) FROM instance WHERE state = 'destroyed'") == [(1,)]

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            ("state = 'running', vmm_id = id", "the instance is running"),
            ("state = 'creating'", "an instance cannot be deleted in state creating"),
        ],
        ids=["running", "creating"],
    )
    def test_instance_in_another_state_is_not_deleted(self, service, stopped, change, text):
        service.execute(f"UPDATE instance SET {change}")
        service.refuse(instance_delete(stopped), Refused, text, at="instance_delete/instance")
