# SPDX-License-Identifier: MIT
"""Act 3: delete a project, which must be empty and unchanged since it was read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
from attrs import evolve

from batchq import insert, run, sql, update
from examples.datastore.errors import NotFound, Refused
from examples.datastore.models import NewProject, NewSilo, Project
from examples.datastore.parents import DISKS, INSTANCES
from examples.datastore.project import project_create, project_delete, project_fetch
from examples.demo.console import check, console, headline
from examples.demo.failure_report import Failure, show
from examples.demo.inspect_batch import batch_tree


def delete_project(conn: psycopg.Connection[Any], silo: NewSilo) -> None:
    """Fail because of each kind of child, then of a stale generation; then succeed."""
    headline(3, "Delete a project: the server checks that it is empty, in the same round trip")
    made = run(conn, project_create(NewProject(silo_id=silo.id, name="shop"))).project
    console.print(batch_tree(project_delete(made)), "")
    for failure in _failures(conn, made):
        show(conn, failure)
    now = run(conn, project_fetch(made.id))
    run(conn, project_delete(now))
    console.print(f"[bold]Empty, and generation {now.rcgen} as read[/]: deleted.\n")
    show(
        conn,
        Failure(
            "Delete it again",
            project_delete(now),
            NotFound,
            "project_delete/project",
            "guard saw 0 rows",
        ),
    )


def _failures(conn: psycopg.Connection[Any], project: Project) -> Iterator[Failure]:
    not_found = NotFound("project", project.id)
    for kind, children, name in (("instance", INSTANCES, "db-1"), ("disk", DISKS, "data")):
        row = {"id": uuid4(), "project_id": project.id, "name": name}
        run(conn, children.add(project.id, insert(kind, row), missing=not_found))
        yield _refused(f"It contains the {kind} {name!r}", project, kind)
        _remove(conn, kind, project)
    yield _refused("It contains its default VPC", project, "vpc")
    _remove(conn, "vpc", project)
    seen = evolve(project, rcgen=1)
    yield _refused("It is empty, but changed since the caller read it: a stale generation", seen)
    now = run(conn, project_fetch(project.id))
    check("its generation", now.rcgen, seen.rcgen + 2)


def _refused(story: str, project: Project, kind: str = "project") -> Failure:
    return Failure(
        story, project_delete(project), Refused, f"project_delete/{kind}", "guard refused a row"
    )


def _remove(conn: psycopg.Connection[Any], kind: str, project: Project) -> None:
    run(conn, update(kind, {"time_deleted": sql("now()")}, where={"project_id": project.id}))
