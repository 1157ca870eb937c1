# SPDX-License-Identifier: MIT
"""Workloads on projects: the example's eight statements, how they fail, and one of them alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from uuid import uuid4

from attrs import evolve
from psycopg.types.numeric import Int8

from batchq import run, sequence
from benchmarks.sandbox import PLENTY, PROJECT_NAME, Sandbox
from benchmarks.workloads import DECLARED, FORMS, Command, Rows, Values, Workload, insert_command
from benchmarks.workloads.project_forms import BUILT, COMPOSED
from examples.datastore.errors import AlreadyExists, LimitExceeded, NotFound
from examples.datastore.limits import limits_take_project
from examples.datastore.models import (
    FirewallRule,
    NewProject,
    NewSilo,
    Project,
    ProjectCreated,
    Router,
    Subnet,
    Vpc,
    VpcCreated,
)
from examples.datastore.project import project_create
from examples.datastore.silo import silo_create
from examples.datastore.vpc import DEFAULT_BLOCK

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
        error=lambda new: NotFound("silo", new.silo_id),
    ),
    insert_command("project", "id silo_id name description", Project),
    insert_command("vpc", "id project_id system_router_id name", Vpc),
    insert_command("vpc_router", "id vpc_id kind name", Router),
    insert_command("vpc_subnet", "id vpc_id name ipv4_block", Subnet),
    *(_RULE, _RULE),
    _TAKE_PROJECT,
)


def _projects(place: Sandbox, calls: int) -> list[NewProject]:
    return [NewProject(silo_id=place.silo, name=f"project-{n}") for n in range(calls)]


def _project_values(new: NewProject) -> Values:
    vpc_id, router_id = uuid4(), uuid4()
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


PROJECT_CREATE = Workload(
    "project_create",
    _projects,
    dict(zip(FORMS, (project_create, COMPOSED.project_create, BUILT.project_create), strict=True)),
    _COMMANDS,
    _project_values,
    _project_created,
    {
        "lookup_project_by_silo": lambda new: AlreadyExists("project", new.name),
        "silo_limits_projects_within_limit": lambda new: LimitExceeded("projects", new.silo_id),
    },
)

# -- the same for many callers at once: each writes to one of many silos, so none waits for a row --

_SILOS = 128


def _in_many_silos(place: Sandbox, calls: int) -> list[NewProject]:
    silos = [NewSilo(name=f"silo-{number}") for number in range(_SILOS)]
    with place.connect() as conn:
        run(conn, sequence(silo_create(silo, projects=PLENTY) for silo in silos))
    ids = cycle(silo.id for silo in silos)
    return [evolve(new, silo_id=next(ids)) for new in _projects(place, calls)]


IN_MANY_SILOS = evolve(PROJECT_CREATE, inputs=_in_many_silos)

# -- failing: the same, with an input that makes the 1st, the 2nd or the 8th statement fail --------

FAILURES: Mapping[str, tuple[str, Callable[[Sandbox, NewProject], NewProject]]] = {
    "first": ("NotFound", lambda _, new: evolve(new, silo_id=new.id)),
    "second": ("AlreadyExists", lambda _, new: evolve(new, name=PROJECT_NAME)),
    "last": ("LimitExceeded", lambda place, new: evolve(new, silo_id=place.full)),
}
"""The silo is missing, the name is taken, or the silo is full."""


def failing(at: str) -> Workload:
    """Return project_create such that each call fails at this statement."""
    failure, spoil = FAILURES[at]
    return evolve(
        PROJECT_CREATE,
        name="failing",
        inputs=lambda place, calls: [spoil(place, new) for new in _projects(place, calls)],
        failure=failure,
    )


# -- charges: one from a counter that is limited ---------------------------------------------------

CHARGE = Workload(
    "charges",
    lambda place, calls: [place.silo] * calls,
    {DECLARED: limits_take_project},
    (_TAKE_PROJECT,),
    lambda silo: [(silo,)],
    errors={"silo_limits_projects_within_limit": lambda silo: LimitExceeded("projects", silo)},
)
CHARGE_IF_ROOM = evolve(
    CHARGE,
    commands=(
        Command(
            "SELECT 1 FROM silo_limits WHERE silo_id = $1 AND projects_used < projects_limit "
            "FOR UPDATE",
            rows=1,
            error=lambda silo: LimitExceeded("projects", silo),
        ),
        _TAKE_PROJECT,
    ),
    values=lambda silo: [(silo,), (silo,)],
)
"""The same without a constraint: the counter is locked and looked at before it is written."""
