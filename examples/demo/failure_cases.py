# SPDX-License-Identifier: MIT
"""Act 2: each failure, and what the caller gets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from batchq import InvariantViolation, UnmappedViolation, gather, run, sql, update
from examples.datastore.errors import AlreadyExists, LimitExceeded, NotFound
from examples.datastore.models import NewProject, NewSilo, NewVpc
from examples.datastore.parents import PROJECT
from examples.datastore.project import project_create, project_insert
from examples.datastore.silo import silo_create
from examples.datastore.vpc import vpc_create, vpc_insert, vpc_with_defaults
from examples.demo.console import headline
from examples.demo.failure_report import Failure, show


def failure_cases(conn: psycopg.Connection[Any], silo: NewSilo) -> None:
    """Provoke each failure and show it."""
    headline(2, "Failures: the failed step, and the exception that the caller gets")
    for failure in failures(conn, silo):
        show(conn, failure)


def failures(conn: psycopg.Connection[Any], silo: NewSilo) -> Iterator[Failure]:
    """Yield each failure, after committing the rows that it needs."""
    yield Failure(
        "The name is taken",
        project_create(NewProject(silo_id=silo.id, name="web")),
        AlreadyExists,
        "project_create/project",
        "lookup_project_by_silo",
    )
    full = NewSilo(name="full")
    run(conn, silo_create(full, projects=0))
    yield Failure(
        "The limit is reached",
        project_create(NewProject(silo_id=full.id, name="web")),
        LimitExceeded,
        "project_create/limit",
        "silo_limits_projects_within_limit",
    )
    run(conn, update("silo", {"time_deleted": sql("now()")}, where={"id": full.id}))
    yield Failure(
        "The silo was deleted a moment ago",
        project_create(NewProject(silo_id=full.id, name="web")),
        NotFound,
        "project_create/silo",
        "guard saw 0 rows",
    )
    new = NewProject(silo_id=silo.id, name="api")
    run(conn, vpc_with_defaults(NewVpc(project_id=new.id, name="default")))
    yield Failure(
        "The default VPC exists, but its project does not: a leak, so a bug of the service",
        project_create(new),
        InvariantViolation,
        "project_create/default_vpc/vpc",
        "lookup_vpc_by_project",
    )
    run(conn, project_insert(new))
    yield Failure(
        "The same constraint, when a user chose the VPC's name: the user's mistake",
        vpc_create(NewVpc(project_id=new.id, name="default")),
        AlreadyExists,
        "vpc_create/vpc",
        "lookup_vpc_by_project",
    )
    yield Failure(
        "The VPC's router is missing: a deferred foreign key, which fails at COMMIT",
        gather(
            PROJECT.touch(new.id, missing=NotFound("project", new.id)),
            vpc_insert(NewVpc(project_id=new.id, name="lonely")).label("vpc"),
        ).label("vpc_create_in_a_hurry"),
        InvariantViolation,
        "vpc_create_in_a_hurry/vpc",
        "vpc_system_router_id_fkey",
    )
    yield Failure(
        "A migration added a constraint that the code does not map",
        project_create(NewProject(silo_id=silo.id, name="Blog")),
        UnmappedViolation,
        "project_create/project",
        "project_name_is_lower_case",
        _constraint(conn),
    )


@contextmanager
def _constraint(conn: psycopg.Connection[Any]) -> Iterator[None]:
    conn.execute(
        "ALTER TABLE project ADD CONSTRAINT project_name_is_lower_case CHECK (name = lower(name))"
    )
    yield
    conn.execute("ALTER TABLE project DROP CONSTRAINT project_name_is_lower_case")
