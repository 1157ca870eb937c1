# SPDX-License-Identifier: MIT
"""Flow 2.12, its second part: a disk attached to an instance, of which there are only so many."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID, uuid4

import pytest

from batchq import gather
from tests.flows.datastore.disk import MAX_DISKS_PER_INSTANCE, NewDisk, disk_attach, disk_create
from tests.flows.datastore.errors import InvalidRequest, NotFound
from tests.flows.datastore.instance import NewInstance, instance_create, instance_delete
from tests.support.lock_waits import race


class Machine(NamedTuple):
    """An instance and three disks beside it."""

    id: UUID
    disks: tuple[UUID, ...]


@pytest.fixture
def machine(service, project) -> Machine:
    instance = NewInstance(project_id=project.id, name="web", ncpus=2, memory=1 << 30)
    disks = [NewDisk(project_id=project.id, name=name, size_bytes=1) for name in ("a", "b", "c")]
    service.run(gather(instance_create(instance), *(disk_create(disk, uuid4()) for disk in disks)))
    return Machine(instance.id, tuple(disk.id for disk in disks))


def test_it_takes_the_first_free_slot_in_one_flight(service, machine):
    made = [service.run(disk_attach(disk, machine.id)) for disk in machine.disks]
    assert [(disk.disk_state, disk.slot) for disk in made] == [("attached", n) for n in range(3)]
    assert {disk.attach_instance_id for disk in made} == {machine.id}
    service.execute(
        "UPDATE disk SET attach_instance_id = NULL, slot = NULL, disk_state = 'detached'"
        "WHERE id = %s",
        machine.disks[1],
    )
    assert service.run(disk_attach(machine.disks[1], machine.id)).slot == 1


def test_said_again_it_changes_nothing(service, machine):
    first = service.run(disk_attach(machine.disks[0], machine.id, at_most=1))
    before = service.rows()
    assert service.run(disk_attach(machine.disks[0], machine.id, at_most=1)) == first
    assert service.rows() == before


def test_one_disk_more_than_an_instance_takes_is_refused(service, machine):
    service.execute(
        "INSERT INTO disk (id, name, project_id, disk_state, state_generation, size_bytes,"
        "block_size, disk_type, attach_instance_id, slot)"
        "SELECT gen_random_uuid(), 'disk-' || n, gen_random_uuid(), 'attached', 1, 1, 1, '', %s, n "
        "FROM generate_series(0, %s - 1) AS n",
        machine.id,
        MAX_DISKS_PER_INSTANCE,
    )
    flow = disk_attach(machine.disks[0], machine.id)
    says = "cannot attach more than 12 disks to instance"
    service.refuse(flow, InvalidRequest, says, at="disk_attach/capacity")


@pytest.mark.parametrize(
    ("scene", "means"),
    [
        ("UPDATE instance SET time_deleted = now()", (NotFound, None, "instance")),
        (
            "UPDATE instance SET state = 'vmm', active_propolis_id = id",
            (InvalidRequest, "cannot attach disk to instance in vmm state", "instance"),
        ),
        ("UPDATE disk SET time_deleted = now()", (NotFound, None, "disk")),
        (
            "UPDATE disk SET disk_state = 'faulted'",
            (InvalidRequest, "cannot attach a disk that is faulted", "disk"),
        ),
        (
            "UPDATE disk SET disk_state = 'attached', attach_instance_id = gen_random_uuid()",
            (InvalidRequest, "disk is attached to another instance", "disk"),
        ),
    ],
)
def test_the_reason_is_what_was_found(service, machine, scene, means):
    error, says, step = means
    service.execute(scene)
    flow = disk_attach(machine.disks[0], machine.id)
    service.refuse(flow, error, says, at=f"disk_attach/{step}")


def test_of_two_at_a_time_the_second_finds_no_room(service, machine, connect):
    first, second, _ = machine.disks
    with race(connect) as racing:
        answer = racing.run(
            disk_attach(first, machine.id, at_most=1), disk_attach(second, machine.id, at_most=1)
        )
    assert str(answer.error) == "cannot attach more than 1 disks to instance"


def test_no_disk_is_attached_to_an_instance_that_is_being_deleted(service, machine, connect):
    service.execute("UPDATE instance SET state = 'no_vmm'")
    with race(connect) as racing:
        answer = racing.run(instance_delete(machine.id), disk_attach(machine.disks[0], machine.id))
    assert type(answer.error) is NotFound
    assert service.execute("SELECT count(*) FROM disk WHERE slot IS NOT NULL") == [(0,)]
