# SPDX-License-Identifier: MIT
"""Deleting a project as the caller has seen it: it is locked, three kinds of children are looked
for, and it is hidden if its generation is still the same. Nearly all of it is guards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.rows import class_row

from batchq import run, steps
from benchmarks.measure import Side
from benchmarks.peers.bare import ONE_ROW, Bare
from benchmarks.peers.batchq import Batchq
from benchmarks.peers.pipeline import Pipeline
from benchmarks.peers.plpgsql import Plpgsql
from benchmarks.peers.transaction import Transaction
from benchmarks.scene import Scene
from benchmarks.ways import Way, Workload, each, on_pgconn, on_psycopg
from examples.datastore.errors import NotFound, Refused
from examples.datastore.models import Project
from examples.datastore.project import project_delete

FUNCTION = Path(__file__).with_suffix(".sql").read_bytes()

_FILL: Final = """
INSERT INTO project (id, silo_id, name, description)
SELECT gen_random_uuid(), %s, 'empty-' || n, '' FROM generate_series(1, %s) AS n
"""
_READ: Final = "SELECT id, silo_id, name, description, rcgen, time_created FROM project"
_USED: Final = "UPDATE silo_limits SET projects_used = projects_used + %s WHERE silo_id = %s"

_LOCK: Final = "SELECT rcgen FROM project WHERE id = %s AND time_deleted IS NULL FOR UPDATE"
_CHILDREN: Final = {
    "an instance": "SELECT name FROM instance WHERE project_id = %s AND time_deleted IS NULL "
    "LIMIT 1",
    "a disk": "SELECT name FROM disk WHERE project_id = %s AND time_deleted IS NULL LIMIT 1",
    "a vpc": "SELECT name FROM vpc WHERE project_id = %s AND time_deleted IS NULL LIMIT 1",
}
_HIDE: Final = "UPDATE project SET time_deleted = now(), rcgen = rcgen + 1 WHERE id = %s"
_GIVE_BACK: Final = "UPDATE silo_limits SET projects_used = projects_used - 1 WHERE silo_id = %s"
_CALL: Final = "SELECT project_delete(%s, %s, %s)"


def _given(place: Scene, calls: int) -> list[Project]:
    """Fill the silo with empty projects; behind them is the one that has a VPC in it."""
    with psycopg.connect(place.conninfo, autocommit=True) as conn:
        conn.execute(_FILL, (place.silo, calls))
        conn.execute(_USED, (calls, place.silo))
        conn.execute("ANALYZE project")
        with conn.cursor(row_factory=class_row(Project)) as cursor:
            cursor.execute(_READ)
            found = cursor.fetchall()
    return sorted(found, key=lambda project: (project.name == "there", _number(project.name)))


def _number(name: str) -> int:
    return int(name.rpartition("-")[2]) if "-" in name else 0


def _by_transaction(conn: psycopg.Connection[Any], project: Project) -> None:
    with conn.transaction():
        row = conn.execute(_LOCK, (project.id,)).fetchone()
        if row is None:
            raise NotFound("project", project.id)
        for kind, text in _CHILDREN.items():
            _refuse(kind, conn.execute(text, (project.id,)).fetchone())
        _compare(row[0], project)
        conn.execute(_HIDE, (project.id,))
        if conn.execute(_GIVE_BACK, (project.silo_id,)).rowcount != 1:
            raise LookupError("the silo has no limits")


def _by_pipeline(conn: psycopg.Connection[Any], project: Project) -> None:
    # What is asked is sent at once, and what is written as well: nothing stays of it when an answer
    # is not as it should be, because nobody has committed.
    with conn.pipeline(), conn.transaction():
        locked = conn.execute(_LOCK, (project.id,))
        asked = {kind: conn.execute(text, (project.id,)) for kind, text in _CHILDREN.items()}
        conn.execute(_HIDE, (project.id,))
        given_back = conn.execute(_GIVE_BACK, (project.silo_id,))
        row = locked.fetchone()
        if row is None:
            raise NotFound("project", project.id)
        for kind, cursor in asked.items():
            _refuse(kind, cursor.fetchone())
        _compare(row[0], project)
        if given_back.rowcount != 1:
            raise LookupError("the silo has no limits")


def _refuse(kind: str, found: tuple[Any, ...] | None) -> None:
    if found is not None:
        raise Refused(f"the project contains {kind}: {found[0]}")


def _compare(generation: int, project: Project) -> None:
    if generation != project.rcgen:
        raise Refused("deletion failed due to concurrent modification")


@contextmanager
def _by_function(place: Scene, given: Sequence[Project]) -> Iterator[Side]:
    with psycopg.connect(place.conninfo, autocommit=True) as conn:
        conn.execute(FUNCTION)
        yield each(lambda project: _called(conn, project), given)


def _called(conn: psycopg.Connection[Any], project: Project) -> None:
    try:
        conn.execute(_CALL, (project.id, project.rcgen, project.silo_id))
    except psycopg.errors.NoDataFound as error:
        raise NotFound("project", project.id) from error
    except psycopg.errors.RaiseException as error:
        raise Refused(error.diag.message_primary or "") from error


def _bare_values(project: Project) -> list[tuple[object, ...]]:
    rows, sentinel = ONE_ROW
    return [
        (project.id, rows, sentinel),
        *[(project.id, sentinel)] * len(_CHILDREN),
        (project.id, project.rcgen, rows, sentinel),
        (project.silo_id, rows, sentinel),
    ]


def _bare_texts(project: Project) -> list[str]:
    return [step.sql for step in steps(project_delete(project))]


_WAYS: Mapping[str, Way[Project]] = {
    Batchq.name: on_psycopg(lambda conn, project: run(conn, project_delete(project))),
    Bare.name: on_pgconn(_bare_texts, _bare_values),
    Plpgsql.name: _by_function,
    Pipeline.name: on_psycopg(_by_pipeline),
    Transaction.name: on_psycopg(_by_transaction),
}

PROJECT_DELETE: Final = Workload("project_delete", _WAYS, _given)
