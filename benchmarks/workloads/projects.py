# SPDX-License-Identifier: MIT
"""Workloads on projects: the example's requests that write, and how they fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args
from uuid import UUID, uuid4

import psycopg
from attrs import evolve
from psycopg.rows import class_row
from psycopg.types.numeric import Int8

from batchq import Batch, gather
from benchmarks.sandbox import Sandbox
from benchmarks.workloads import Command, Rows, Values, Workload, columns_of, insert_command
from examples.datastore.errors import AlreadyExists, LimitExceeded, NotFound, Refused
from examples.datastore.limits import limits_take_project
from examples.datastore.models import (
    FirewallRule,
    NewProject,
    NewVpc,
    Project,
    ProjectCreated,
    Router,
    Subnet,
    Vpc,
    VpcCreated,
)
from examples.datastore.parents import PROJECTS
from examples.datastore.project import project_create, project_delete, project_insert
from examples.datastore.vpc import DEFAULT_BLOCK, vpc_with_defaults

# -- project_create: the example's eight statements ------------------------------------------------

_TAKE_PROJECT = Command(
    "UPDATE silo_limits SET projects_used = projects_used + 1 WHERE silo_id = $1", rows=1
)
_RULE = insert_command(
    "vpc_firewall_rule", "id vpc_id name direction action protocols priority", FirewallRule
)
_COMMANDS = (
    Command(
        "UPDATE silo SET rcgen = rcgen + 1 WHERE id = $1 AND time_deleted IS NULL",
        rows=1,
        error=lambda given, _: NotFound("silo", given[0].silo_id),
    ),
    insert_command("project", "id silo_id name description", Project),
    insert_command("vpc", "id project_id system_router_id name", Vpc),
    insert_command("vpc_router", "id vpc_id kind name", Router),
    insert_command("vpc_subnet", "id vpc_id name ipv4_block", Subnet),
    *(_RULE, _RULE),
    _TAKE_PROJECT,
)

NewProjectInput = tuple[NewProject, UUID | None]
"""A project, and the id of its default VPC's router if that is given."""


def _projects(place: Sandbox, calls: int) -> list[NewProjectInput]:
    return [(NewProject(silo_id=place.silo, name=f"project-{n}"), None) for n in range(calls)]


def _project_values(given: NewProjectInput) -> Values:
    new, router_id = given
    vpc_id = uuid4()
    router_id = router_id or uuid4()
    return [
        (new.silo_id,),
        (new.id, new.silo_id, new.name, new.description),
        (vpc_id, new.id, router_id, "default"),
        (router_id, vpc_id, "system", "system"),
        (uuid4(), vpc_id, "default", DEFAULT_BLOCK),
        (uuid4(), vpc_id, "allow-internal-inbound", "inbound", "allow", [], Int8(65534)),
        (uuid4(), vpc_id, "allow-ssh", "inbound", "allow", ["tcp"], Int8(65534)),
        (new.silo_id,),
    ]


def _project_created(rows: Sequence[Rows]) -> ProjectCreated:
    _, (project,), (vpc,), (router,), (subnet,), (internal,), (ssh,), _ = rows
    return ProjectCreated(project, VpcCreated(vpc, router, subnet, [internal, ssh]))


PROJECT_CREATE: Workload[NewProjectInput] = Workload(
    "project_create",
    _projects,
    lambda given: project_create(given[0]),
    _COMMANDS,
    _project_values,
    _project_created,
    {
        "lookup_project_by_silo": lambda given: AlreadyExists("project", given[0].name),
        "silo_limits_projects_within_limit": lambda given: LimitExceeded(
            "projects of silo", given[0].silo_id
        ),
    },
)

# -- failing: the same, with an input that makes the 1st, the 4th or the 8th statement fail --------

At = Literal["first", "middle", "last"]
"""The silo is missing, the id of the default VPC's router is taken, or the silo is full."""
PLACES: tuple[At, ...] = get_args(At)
_FAILURES: dict[At, str] = {
    "first": "NotFound",
    "middle": "vpc_router_pkey",
    "last": "LimitExceeded",
}


def failing(at: At) -> Workload[NewProjectInput]:
    """Return project_create such that each call fails at this place."""

    def inputs(place: Sandbox, calls: int) -> list[NewProjectInput]:
        silo = {"first": uuid4(), "middle": place.silo, "last": place.full}[at]
        return [
            (evolve(new, silo_id=silo), place.router if at == "middle" else uuid4())
            for new, _ in _projects(place, calls)
        ]

    return evolve(
        PROJECT_CREATE,
        name="failing",
        inputs=inputs,
        batch=_project_create_with_router,
        failure=_FAILURES[at],
    )


def _project_create_with_router(given: NewProjectInput) -> Batch[ProjectCreated]:
    """Return the example's batch, with the router's id as given: it never fails in the middle."""
    new, router_id = given
    vpc = NewVpc(project_id=new.id, system_router_id=router_id or uuid4(), name="default")
    return (
        gather(
            PROJECTS.add(
                new.silo_id,
                project_insert(new).label("project"),
                missing=NotFound("silo", new.silo_id),
            ),
            vpc_with_defaults(vpc).as_invariant("creating the default VPC").label("default_vpc"),
            limits_take_project(new.silo_id).label("limit"),
        )
        .map(lambda made: ProjectCreated(project=made[0], default_vpc=made[1]))
        .label("project_create")
    )


# -- project_delete: nearly all of it is guards ----------------------------------------------------


def _empty_projects(place: Sandbox, calls: int) -> list[Project]:
    """Fill the silo with empty projects."""
    with psycopg.connect(place.conninfo, autocommit=True) as conn:
        conn.execute(
            "INSERT INTO project (id, silo_id, name, description) "
            "SELECT gen_random_uuid(), %s, 'empty-' || n, '' FROM generate_series(1, %s) AS n",
            (place.silo, calls),
        )
        conn.execute(
            "UPDATE silo_limits SET projects_used = projects_used + %s WHERE silo_id = %s",
            (calls, place.silo),
        )
        conn.execute("ANALYZE project")
    return [project for project in projects_of(place) if project.id != place.project]


def projects_of(place: Sandbox) -> list[Project]:
    """Read all projects, in the order of their numbers."""
    with (
        psycopg.connect(place.conninfo) as conn,
        conn.cursor(row_factory=class_row(Project)) as cursor,
    ):
        text = f"SELECT {columns_of(Project)} FROM project ORDER BY length(name), name"  # noqa: S608
        return cursor.execute(text.encode()).fetchall()


def _no_child(table: str, kind: str) -> Command:
    return Command(
        f"SELECT name FROM {table} WHERE project_id = $1 AND time_deleted IS NULL LIMIT 1",  # noqa: S608
        rows=0,
        error=lambda _, rows: Refused(f"the project contains {kind}: {rows[0][0]}"),
    )


PROJECT_DELETE: Workload[Project] = Workload(
    "project_delete",
    _empty_projects,
    project_delete,
    (
        Command(
            "SELECT 1 FROM project WHERE id = $1 AND time_deleted IS NULL FOR UPDATE",
            rows=1,
            error=lambda project, _: NotFound("project", project.id),
        ),
        _no_child("instance", "an instance"),
        _no_child("disk", "a disk"),
        _no_child("vpc", "a vpc"),
        Command(
            "UPDATE project SET time_deleted = now(), rcgen = rcgen + 1 "
            "WHERE id = $1 AND rcgen = $2",
            rows=1,
            error=lambda *_: Refused("deletion failed due to concurrent modification"),
        ),
        Command(
            "UPDATE silo_limits SET projects_used = projects_used - 1 WHERE silo_id = $1", rows=1
        ),
    ),
    lambda project: [
        *[(project.id,)] * 4,
        (project.id, project.rcgen),
        (project.silo_id,),
    ],
)

# -- charges: one from a counter that is limited ---------------------------------------------------

CHARGE: Workload[UUID] = Workload(
    "charges",
    lambda place, calls: [place.silo] * calls,
    limits_take_project,
    (_TAKE_PROJECT,),
    lambda silo: [(silo,)],
    errors={
        "silo_limits_projects_within_limit": lambda silo: LimitExceeded("projects of silo", silo)
    },
)
