# SPDX-License-Identifier: MIT
"""Flow 2.5: about fourteen round trips in the original, and one here."""

from __future__ import annotations

from uuid import uuid4

import pytest

from batchq import GuardFailed
from tests.flows.datastore.errors import InvalidRequest, NotFound
from tests.flows.datastore.project import project_delete
from tests.flows.datastore.vpc import NewVpc, vpc_create
from tests.support.lock_waits import race

STALE = "deletion failed due to concurrent modification"
NAMED = "(id, name, project_id) VALUES (gen_random_uuid(), 'web', %s)"
CHILDREN = {
    "an instance": (
        "instance",
        (
            "(id, name, project_id, state, state_generation, ncpus, memory)"
            "VALUES (gen_random_uuid(), 'web', %s, 'creating', 1, 1, 1)"
        ),
    ),
    "a disk": (
        "disk",
        (
            "(id, name, project_id, disk_state, state_generation,"
            "size_bytes, block_size, disk_type)"
            "VALUES (gen_random_uuid(), 'web', %s, 'creating', 1, 1, 1, '')"
        ),
    ),
    "a floating ip": (
        "external_ip",
        (
            "(id, name, project_id, kind, ip)"
            "VALUES (gen_random_uuid(), 'web', %s, 'floating', '192.0.2.1')"
        ),
    ),
    "a project image": ("image", NAMED),
    "a snapshot": ("snapshot", NAMED),
    "a vpc": (
        "vpc",
        (
            "(id, name, project_id, system_router_id, dns_name, vni, ipv6_prefix)"
            "VALUES (gen_random_uuid(), 'web', %s, gen_random_uuid(), '', 7, 'fd00::/48')"
        ),
    ),
    "an affinity group": ("affinity_group", NAMED),
    "an anti affinity group": ("anti_affinity_group", NAMED),
}
"""What may be in a project, as the error calls it: its table, and the row of one called web."""


def test_an_empty_project_is_deleted_in_one_flight(service, project):
    service.run(project_delete(project))
    assert service.execute("SELECT time_deleted IS NULL, rcgen FROM project") == [(False, 2)]
    assert service.execute("SELECT * FROM virtual_provisioning_collection") == []


@pytest.mark.parametrize("kind", CHILDREN)
def test_each_kind_of_children_is_in_the_way_in_its_own_words(service, project, kind):
    table, row = CHILDREN[kind]
    service.execute(f"INSERT INTO {table} {row}", project.id)
    report = service.refuse(
        project_delete(project),
        InvalidRequest,
        f"project to be deleted contains {kind}: web",
        at=f"project_delete/{table}",
    )
    assert report.violation.row["name"] == "web"
    service.execute(f"UPDATE {table} SET time_deleted = now()")
    service.run(project_delete(project))


def test_of_several_kinds_the_first_is_said(service, project):
    for table, row in CHILDREN.values():
        service.execute(f"INSERT INTO {table} {row}", project.id)
    says = "project to be deleted contains an instance: web"
    service.refuse(project_delete(project), InvalidRequest, says, at="project_delete/instance")


def test_the_children_of_another_project_are_not_in_the_way(service, project):
    for table, row in CHILDREN.values():
        service.execute(f"INSERT INTO {table} {row}", uuid4())
    service.run(project_delete(project))


def test_an_address_that_is_not_floating_is_not_the_projects(service, project):
    table, row = CHILDREN["a floating ip"]
    service.execute("ALTER TABLE external_ip DROP CONSTRAINT null_project_id")
    service.execute(f"INSERT INTO {table} {row.replace('floating', 'ephemeral')}", project.id)
    service.run(project_delete(project))


def test_a_project_that_has_changed_since_it_was_read_is_refused(service, project):
    service.execute("UPDATE project SET rcgen = rcgen + 1")
    report = service.refuse(
        project_delete(project), InvalidRequest, STALE, at="project_delete/project"
    )
    assert report.violation.row == {"rcgen": project.rcgen + 1}


def test_a_project_that_is_gone_is_not_found(service, project):
    service.run(project_delete(project))
    says = f'not found: project with id "{project.id}"'
    service.refuse(project_delete(project), NotFound, says, at="project_delete/project")


@pytest.mark.parametrize(
    "count", ["virtual_disk_bytes_provisioned", "cpus_provisioned", "ram_provisioned"]
)
def test_an_empty_project_that_has_something_provisioned_is_a_bug(service, project, count):
    service.execute(f"UPDATE virtual_provisioning_collection SET {count} = 1")
    report = service.refuse(project_delete(project), GuardFailed, at="project_delete/provisioning")
    assert report.violation.row[count] == 1


def test_a_project_that_nothing_is_counted_of_is_a_bug(service, project):
    service.execute("DELETE FROM virtual_provisioning_collection")
    service.refuse(project_delete(project), GuardFailed, at="project_delete/provisioning")


@pytest.mark.parametrize("first", ["creating", "deleting"])
def test_a_vpc_that_is_created_at_the_same_time_is_never_orphaned(service, project, connect, first):
    vpc = NewVpc(project_id=project.id, name="late", dns_name="late")
    creating, deleting = vpc_create(vpc, range(100, 101)), project_delete(project)
    with race(connect) as racing:
        if first == "creating":
            answer = racing.run(creating, deleting)
            assert str(answer.error) == "project to be deleted contains a vpc: late"
        else:
            answer = racing.run(deleting, creating)
            assert type(answer.error) is NotFound
