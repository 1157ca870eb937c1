# SPDX-License-Identifier: MIT
"""Resources, counted once for project, silo and fleet, within the silo's quotas."""

from __future__ import annotations

from uuid import uuid4

import attrs
import pytest

from batchq import GuardFailed
from batchq.result import Ok
from examples.datastore.errors import LimitExceeded
from tests.flows.provisioning import QUOTAS, Resource, provision, provisioned_delete
from tests.support.lock_waits import race

SUMS = "SELECT cpus, memory, storage FROM provisioned"


@pytest.fixture
def new(service, project) -> Resource:
    """Create a resource; the quotas of its silo allow two."""
    fleet_id = uuid4()
    kinds = {"Project": project.id, "Silo": project.silo_id, "Fleet": fleet_id}
    for kind, counted in kinds.items():
        service.execute("INSERT INTO provisioned (id, kind) VALUES (%s, %s)", counted, kind)
    service.execute("INSERT INTO silo_quotas VALUES (%s, 8, 64, 512)", project.silo_id)
    return Resource(
        id=uuid4(),
        silo_id=project.silo_id,
        project_id=project.id,
        fleet_id=fleet_id,
        cpus=4,
        memory=32,
        storage=256,
    )


def another(new: Resource, **changes: int) -> Resource:
    return attrs.evolve(new, id=uuid4(), **changes)


def sums(service) -> set[tuple[int, ...]]:
    """Return the sums; one row if project, silo and fleet agree."""
    return set(service.execute(SUMS))


def test_resource_is_counted_by_project_silo_and_fleet_in_one_flight(service, new):
    assert service.run(provision(new)) is True
    assert sums(service) == {(4, 32, 256)}
    assert service.execute("SELECT * FROM provisioned_resource") == [(new.id, 4, 32, 256)]


def test_repeated_provision_changes_nothing(service, new):
    service.run(provision(new))
    before = service.rows()
    assert service.run(provision(new)) is False
    assert service.rows() == before


def test_repeated_provision_is_accepted_if_no_quota_is_left(service, new):
    service.run(provision(new))
    service.run(provision(another(new)))
    assert service.run(provision(new)) is False


@pytest.mark.parametrize(
    ("more", "exceeded"),
    [
        ({"cpus": 5}, "cpus"),
        ({"memory": 33}, "memory"),
        ({"storage": 257}, "storage"),
        ({"memory": 33, "storage": 257}, "memory"),
        ({"cpus": 5, "memory": 33, "storage": 257}, "cpus"),
    ],
)
def test_first_exceeded_quota_is_the_error(service, new, more, exceeded):
    service.run(provision(new))
    text = f'limit exceeded: {exceeded} of "{new.silo_id}"'
    service.refuse(provision(another(new, **more)), LimitExceeded, text, at="provision/silo")
    service.run(provision(another(new)))
    assert sums(service) == {(8, 64, 512)}


def test_quota_that_a_resource_does_not_use_may_be_exceeded(service, new):
    service.run(provision(new))
    service.execute("UPDATE silo_quotas SET cpus = 0")
    service.run(provision(another(new, cpus=0)))
    assert sums(service) == {(4, 64, 512)}


def test_silo_without_quotas_has_no_room(service, new):
    service.execute("DELETE FROM silo_quotas")
    text = f'limit exceeded: quotas of "{new.silo_id}"'
    service.refuse(provision(new), LimitExceeded, text, at="provision/quotas")


@pytest.mark.parametrize(
    ("kind", "step"),
    [("Project", "project_and_fleet"), ("Fleet", "project_and_fleet"), ("Silo", "silo")],
)
def test_missing_sum_is_a_bug(service, new, kind, step):
    service.execute("DELETE FROM provisioned WHERE kind = %s", kind)
    service.refuse(provision(new), GuardFailed, at=f"provision/{step}")


def test_second_of_two_at_the_same_time_finds_no_room(service, new, connect):
    service.run(provision(new))
    with race(connect) as racing:
        answer = racing.run(provision(another(new)), provision(another(new)))
    assert type(answer.error) is LimitExceeded
    assert str(answer.error).startswith("limit exceeded: cpus of")
    assert sums(service) == {(8, 64, 512)}


def test_same_resource_twice_at_the_same_time_is_counted_once(service, new, connect):
    with race(connect) as racing:
        answer = racing.run(provision(new), provision(new))
    assert isinstance(answer, Ok)
    assert answer.value is False
    assert sums(service) == {(4, 32, 256)}


def test_sum_of_zero_is_deleted(service, new):
    service.run(provisioned_delete(new.project_id))
    assert service.execute("SELECT kind FROM provisioned ORDER BY kind") == [("Fleet",), ("Silo",)]
    service.refuse(provisioned_delete(new.project_id), GuardFailed, at="provisioned")


@pytest.mark.parametrize("kind", QUOTAS)
def test_sum_that_is_not_zero_is_not_deleted(service, new, kind):
    service.execute(f"UPDATE provisioned SET {kind} = 1")
    report = service.refuse(provisioned_delete(new.project_id), GuardFailed, at="provisioned")
    assert report.violation.row[kind] == 1
