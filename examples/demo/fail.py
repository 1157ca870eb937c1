# SPDX-License-Identifier: MIT
"""Act 2: every failure in turn, and what the caller gets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import psycopg
from attrs import field, frozen
from rich.markup import escape
from rich.table import Table

from batchq import (
    Batch,
    Failed,
    InvariantViolation,
    Outcome,
    UnmappedViolation,
    attempt,
    gather,
    run,
    sql,
    update,
)
from examples.datastore.errors import AlreadyExists, LimitExceeded, NotFound, ServiceError
from examples.datastore.models import NewProject, NewSilo, NewVpc
from examples.datastore.parents import PROJECT
from examples.datastore.project import project_create, project_insert
from examples.datastore.silo import silo_create
from examples.datastore.vpc import vpc_create, vpc_insert, vpc_with_defaults
from examples.demo.database import row_count
from examples.demo.telling import check, console, headline


@frozen
class Failure:
    """A batch that has to fail, and how."""

    story: str
    batch: Batch[Any]
    error: type[Exception]
    """What the caller gets."""
    step: str
    """The path of the step that is to blame."""
    violated: str
    """The constraint, or what the guard saw."""
    setting: AbstractContextManager[None] = field(factory=nullcontext)
    """What is so only while it runs."""


def fail(conn: psycopg.Connection[Any], silo: NewSilo) -> None:
    """Run into each failure and show it."""
    headline(2, "Every failure: the step to blame, and the exception the caller gets")
    for failure in failures(conn, silo):
        before = row_count(conn)
        with failure.setting:
            answer = attempt(conn, failure.batch)
        _show(failure, answer, before, row_count(conn))


def failures(conn: psycopg.Connection[Any], silo: NewSilo) -> Iterator[Failure]:
    """Make each failure in turn; what has to be there for it is committed before."""
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
        "The silo is gone: it was deleted a moment ago",
        project_create(NewProject(silo_id=full.id, name="web")),
        NotFound,
        "project_create/silo",
        "guard saw 0 rows",
    )
    new = NewProject(silo_id=silo.id, name="api")
    run(conn, vpc_with_defaults(NewVpc(project_id=new.id, name="default")))
    yield Failure(
        "The default VPC is there already, under a project that is not: a leak, so our error",
        project_create(new),
        InvariantViolation,
        "project_create/default_vpc/vpc",
        "lookup_vpc_by_project",
    )
    run(conn, project_insert(new))
    yield Failure(
        "... and the same constraint when a user names the VPC: their error",
        vpc_create(NewVpc(project_id=new.id, name="default")),
        AlreadyExists,
        "vpc_create/vpc",
        "lookup_vpc_by_project",
    )
    yield Failure(
        "Somebody forgot the VPC's router: a deferred foreign key, which fails at COMMIT",
        gather(
            PROJECT.bump(new.id, gone=NotFound("project", new.id)),
            vpc_insert(NewVpc(project_id=new.id, name="lonely")).label("vpc"),
        ).label("vpc_create_in_a_hurry"),
        InvariantViolation,
        "vpc_create_in_a_hurry/vpc",
        "vpc_system_router_id_fkey",
    )
    yield Failure(
        "A migration added a constraint that nobody told the code about",
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


def _show(failure: Failure, answer: object, before: int, after: int) -> None:
    if not isinstance(answer, Failed):
        check(failure.story, answer, "a failure")
        return
    error, report, violation = answer.error, answer.report, answer.report.violation
    if violation is None:
        check(failure.story, violation, "a violation")
        return
    violated = violation.constraint or str(violation)
    status = error.status if isinstance(error, ServiceError) else 500
    text, *lesson = str(error).splitlines()
    check(f"{failure.story}: the exception", type(error), failure.error)
    check(f"{failure.story}: the step", report.path, failure.step)
    check(f"{failure.story}: what was violated", violated, failure.violated)
    check(f"{failure.story}: the outcome", report.outcome, Outcome.ROLLED_BACK)
    check(f"{failure.story}: the rows in all tables", after, before)

    told = Table.grid(padding=(0, 2))
    told.add_column(style="dim", min_width=10)
    told.add_column(overflow="fold")
    told.add_row("step", escape(str(report.step)))
    told.add_row("violated", escape(violated))
    colour = "green" if isinstance(error, ServiceError) else "red"
    told.add_row("caller gets", f"[{colour}]{type(error).__name__}[/] (HTTP {status})")
    told.add_row("", escape(text))
    for line in lesson:
        told.add_row("", f"[yellow]{escape(line)}[/]")
    told.add_row("outcome", report.outcome.value)
    told.add_row("rows", f"{before} before, {after} after: nothing was kept")
    console.print(f"[bold]{escape(failure.story)}[/]")
    console.print(told)
    console.print()
