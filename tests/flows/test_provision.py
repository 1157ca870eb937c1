# SPDX-License-Identifier: MIT
"""Flow 2.7: a resource counted once, by project, silo and fleet, within the quotas of the silo.

The quotas are no CHECKs, since they stand in another table than the counts. How it is done:

- the quota row is locked first, FOR SHARE, which also finds that there is none (fail closed);
- the resource is inserted ON CONFLICT DO NOTHING by a statement that answers how many are new, and
  that number is an output: everything behind it adds ``more * fresh``, so a second time adds 0;
- the three quotas are requirements, in their order, of the silo's row in the update that adds to
  it: the row is judged as it is when it is written, whoever was waited for.
"""

from __future__ import annotations

from uuid import uuid4

import attrs
import pytest

from batchq import GuardFailed
from batchq.result import Ok
from tests.flows.datastore.errors import InsufficientCapacity
from tests.flows.datastore.provisioning import (
    CPUS_EXCEEDED,
    MEMORY_EXCEEDED,
    NO_QUOTA,
    STORAGE_EXCEEDED,
    Provisioning,
    provision,
)
from tests.support.lock_waits import race

COUNTS = "cpus_provisioned, ram_provisioned, virtual_disk_bytes_provisioned"


@pytest.fixture
def new(service, project) -> Provisioning:
    """One instance; the quotas of its silo are those of two."""
    fleet_id = uuid4()
    for counted, kind in ((project.silo_id, "Silo"), (fleet_id, "Fleet")):
        service.execute(
            "INSERT INTO virtual_provisioning_collection VALUES (%s, now(), %s, 0, 0, 0)",
            counted,
            kind,
        )
    quotas = "INSERT INTO silo_quotas VALUES (%s, now(), now(), 8, 64, 512)"
    service.execute(quotas, project.silo_id)
    return Provisioning(
        id=uuid4(),
        kind="Instance",
        silo_id=project.silo_id,
        project_id=project.id,
        fleet_id=fleet_id,
        cpus=4,
        ram=32,
        disk_bytes=256,
    )


def another(new: Provisioning, **changes: int) -> Provisioning:
    return attrs.evolve(new, id=uuid4(), **changes)


def counts(service) -> set[tuple[int, ...]]:
    """What is counted; one row when project, silo and fleet agree."""
    return set(service.execute(f"SELECT {COUNTS} FROM virtual_provisioning_collection"))


def test_it_is_counted_by_project_silo_and_fleet_in_one_flight(service, new):
    assert service.run(provision(new)) is True
    assert counts(service) == {(4, 32, 256)}
    assert service.execute(f"SELECT {COUNTS} FROM virtual_provisioning_resource") == [(4, 32, 256)]


def test_said_again_it_changes_nothing(service, new):
    service.run(provision(new))
    before = service.rows()
    assert service.run(provision(new)) is False
    assert service.rows() == before


def test_said_again_it_is_not_refused_either_when_there_is_no_room_left(service, new):
    service.run(provision(new))
    service.run(provision(another(new)))
    assert service.run(provision(new)) is False


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"cpus": 5}, CPUS_EXCEEDED),
        ({"ram": 33}, MEMORY_EXCEEDED),
        ({"disk_bytes": 257}, STORAGE_EXCEEDED),
        ({"ram": 33, "disk_bytes": 257}, MEMORY_EXCEEDED),
        ({"cpus": 5, "ram": 33, "disk_bytes": 257}, CPUS_EXCEEDED),
    ],
)
def test_the_first_quota_that_is_exceeded_is_said(service, new, more, says):
    service.run(provision(new))
    flow = provision(another(new, **more))
    service.refuse(flow, InsufficientCapacity, says, at="provision/silo")
    service.run(provision(another(new)))
    assert counts(service) == {(8, 64, 512)}


def test_who_asks_for_nothing_of_a_kind_is_not_refused_for_it(service, new):
    service.run(provision(new))
    service.execute("UPDATE silo_quotas SET cpus = 0")
    service.run(provision(another(new, cpus=0)))
    assert counts(service) == {(4, 64, 512)}


def test_no_quota_is_no_room(service, new):
    service.execute("DELETE FROM silo_quotas")
    service.refuse(provision(new), InsufficientCapacity, NO_QUOTA, at="provision/quotas")


@pytest.mark.parametrize(
    ("kind", "step"),
    [("Project", "project_and_fleet"), ("Fleet", "project_and_fleet"), ("Silo", "silo")],
)
def test_a_count_that_is_missing_is_a_bug(service, new, kind, step):
    service.execute("DELETE FROM virtual_provisioning_collection WHERE collection_type = %s", kind)
    service.refuse(provision(new), GuardFailed, at=f"provision/{step}")


def test_the_last_room_goes_to_the_first_of_two_at_a_time(service, new, connect):
    service.run(provision(new))
    with race(connect) as racing:
        answer = racing.run(provision(another(new)), provision(another(new)))
    assert (type(answer.error), str(answer.error)) == (InsufficientCapacity, CPUS_EXCEEDED)
    assert counts(service) == {(8, 64, 512)}


def test_the_same_twice_at_a_time_is_counted_once(service, new, connect):
    with race(connect) as racing:
        answer = racing.run(provision(new), provision(new))
    assert isinstance(answer, Ok)
    assert answer.value is False
    assert counts(service) == {(4, 32, 256)}
