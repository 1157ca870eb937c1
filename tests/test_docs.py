# SPDX-License-Identifier: MIT
"""What the documentation shows is run: the docstrings' examples, and the README's."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import attrs
import psycopg
import pytest

import batchq

ROOT = Path(__file__).parent.parent
FLOORS = ("language", "engine", "running", "limits", "bulk")
MODULES = ["batchq"] + [
    module.name
    for floor in FLOORS
    for module in pkgutil.walk_packages(
        importlib.import_module(f"batchq.{floor}").__path__, f"batchq.{floor}."
    )
]

SCHEMA = """
CREATE TABLE org_limits (org_id uuid PRIMARY KEY, projects int NOT NULL,
    CONSTRAINT org_limits_projects_check CHECK (projects <= 2));
CREATE TABLE project (id uuid CONSTRAINT project_pkey PRIMARY KEY, org_id uuid, name text,
    CONSTRAINT project_org_id_name_key UNIQUE (org_id, name));
CREATE TABLE vpc (project_id uuid, name text,
    CONSTRAINT vpc_project_id_name_key UNIQUE (project_id, name));
"""


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_are_true(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)

    assert failed == 0


class _Error(Exception):
    pass


@attrs.frozen
class NewProject:
    id: UUID
    org_id: UUID
    name: str


@attrs.frozen
class Vpc:
    project_id: UUID
    name: str


def _readme(conn: psycopg.Connection[Any], new: NewProject) -> dict[str, Any]:
    """Run the README's example as it stands."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    errors = {name: type(name, (_Error,), {}) for name in ("NotFound", "LimitReached", "NameTaken")}
    names: dict[str, Any] = {
        **errors,
        "UUID": UUID,
        "NewProject": NewProject,
        "Project": NewProject,
        "Vpc": Vpc,
        "conn": conn,
        "new": new,
    }
    exec(code, names)  # noqa: S102  our own README
    return names


def test_the_readmes_example_runs_as_it_stands(conn: psycopg.Connection[Any]) -> None:
    conn.pgconn.exec_(SCHEMA.encode())
    org = uuid4()
    conn.execute("INSERT INTO org_limits VALUES (%s, 0)", [org])
    new = NewProject(uuid4(), org, "web")

    made = _readme(conn, new)

    assert made["project"] == new
    assert made["vpc"] == Vpc(new.id, "default")


def test_the_readmes_example_fails_as_it_says(conn: psycopg.Connection[Any]) -> None:
    conn.pgconn.exec_(SCHEMA.encode())
    org = uuid4()
    conn.execute("INSERT INTO org_limits VALUES (%s, 0)", [org])
    _readme(conn, NewProject(uuid4(), org, "web"))

    with pytest.raises(_Error) as taken:
        _readme(conn, NewProject(uuid4(), org, "web"))

    assert type(taken.value).__name__ == "NameTaken"
    assert str(taken.value.__cause__) in _unwrapped((ROOT / "README.md").read_text())


@pytest.mark.parametrize("name", ["guards.md", "bulk.md"])
def test_the_pages_are_true(conn: psycopg.Connection[Any], name: str) -> None:
    page = (ROOT / "docs" / name).read_text()
    (schema,) = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    conn.pgconn.exec_(schema.encode())
    parsed = doctest.DocTestParser().get_doctest(page, {"conn": conn}, name, None, 0)
    said: list[str] = []

    doctest.DocTestRunner().run(parsed, out=said.append)

    assert "".join(said) == ""


def _unwrapped(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_everything_that_batchq_shows_is_documented() -> None:
    undocumented = [name for name in batchq.__all__ if not getattr(batchq, name).__doc__]

    assert undocumented == []
