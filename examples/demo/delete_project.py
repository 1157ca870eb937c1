# SPDX-License-Identifier: MIT
"""Act 3: deleting a project, which has to be empty and as it was when it was read."""

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
    """Let each kind of child be in the way, then a stale generation, then nothing."""
    headline(3, "Deleting a project: the server looks for what is in the way, in the same flight")
    made = run(conn, project_create(NewProject(silo_id=silo.id, name="shop"))).project
    console.print(batch_tree(project_delete(made)), "")
    for failure in _failures(conn, made):
        show(conn, failure)
    now = run(conn, project_fetch(made.id))
    run(conn, project_delete(now))
    console.print(f"[bold]Empty, and generation {now.rcgen} as seen[/]: deleted.\n")
    show(
        conn,
        Failure(
            "Once more",
            project_delete(now),
            NotFound,
            "project_delete/project",
            "guard saw 0 rows",
        ),
    )


def _failures(conn: psycopg.Connection[Any], project: Project) -> Iterator[Failure]:
    gone = NotFound("project", project.id)
    for kind, children, name in (("instance", INSTANCES, "db-1"), ("disk", DISKS, "data")):
        row = {"id": uuid4(), "project_id": project.id, "name": name}
        run(conn, children.add(project.id, insert(kind, row), gone=gone))
        yield _refused(f"It contains the {kind} {name!r}", project, kind)
        _remove(conn, kind, project)
    yield _refused("It contains its default VPC", project, "vpc")
    _remove(conn, "vpc", project)
    seen = evolve(project, rcgen=1)
    yield _refused("It is empty, but not what the caller has seen: a stale generation", seen)
    now = run(conn, project_fetch(project.id))
    check("the generations that it went through", now.rcgen, seen.rcgen + 2)


def _refused(story: str, project: Project, kind: str = "project") -> Failure:
    return Failure(
        story, project_delete(project), Refused, f"project_delete/{kind}", "guard refused a row"
    )


def _remove(conn: psycopg.Connection[Any], kind: str, project: Project) -> None:
    run(conn, update(kind, {"time_deleted": sql("now()")}, where={"project_id": project.id}))
