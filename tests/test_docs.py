# SPDX-License-Identifier: MIT
"""Run the examples of the documentation: docstrings, README, pages."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest

import batchq
from batchq import Violation, run, steps
from batchq.bulk import resume
from batchq.bulk.worker.options import ResumeOptions
from batchq.running.request import Options
from batchq.types import Matcher

ROOT = Path(__file__).parent.parent
FLOORS = ("language", "patterns", "engine", "running", "progress", "limits", "versions", "bulk")
MODULES = ["batchq"] + [
    module.name
    for floor in FLOORS
    for module in pkgutil.walk_packages(
        importlib.import_module(f"batchq.{floor}").__path__, f"batchq.{floor}."
    )
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)

    assert failed == 0


def _readme() -> tuple[str, str, str, str]:
    """Return the quickstart, its output, the async example and the declared batch."""
    page = (ROOT / "README.md").read_text()
    quickstart, async_example, declared = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (output,) = re.findall(r"```python\n.*?```\n\n```\n(.*?)```", page, re.DOTALL)[:1]
    return quickstart, output, async_example, declared


def _with_tables(conn: psycopg.Connection[Any], quickstart: str) -> str:
    """Create the tables of the quickstart, and return its definitions."""
    definitions, program = quickstart.split("with server()")
    (schema,) = re.findall(r'"""(.*?)"""', program, re.DOTALL)
    conn.pgconn.exec_(schema.encode())
    return definitions


def test_readme_quickstart_is_a_program_that_prints_what_is_shown() -> None:
    quickstart, output, *_ = _readme()
    printed = StringIO()

    with redirect_stdout(printed):
        exec(quickstart, {})  # noqa: S102  this project's README

    assert printed.getvalue() == output


async def test_readme_async_example_runs(database: str, conn: psycopg.Connection[Any]) -> None:
    quickstart, _, async_example, _ = _readme()
    definitions = _with_tables(conn, quickstart)
    names: dict[str, Any] = {}

    exec(definitions + async_example, names)  # noqa: S102  as above

    assert (await names["main"](database)).name == "api"


def test_readme_declared_batch_is_the_built_one(conn: psycopg.Connection[Any]) -> None:
    quickstart, _, _, declared = _readme()
    names: dict[str, Any] = {}
    exec(_with_tables(conn, quickstart) + declared, names)  # noqa: S102  as above
    bound, built = names["create_project"], names["project_create"]

    assert [step.sql for step in steps(bound(1, "a"))] == [s.sql for s in steps(built(1, "a"))]
    assert [run(conn, create(1, name)).name for create, name in ((bound, "a"), (built, "b"))] == [
        "a",
        "b",
    ]
    for create in (bound, built):
        for org, name, error in ((2, "a", "NotFound"), (1, "c", "LimitReached")):
            with pytest.raises(names[error]) as raised:
                run(conn, create(org, name))
            assert raised.value.args == (org,)
    conn.execute("UPDATE org SET projects = 1")
    for create in (bound, built):
        with pytest.raises(names["NameTaken"], match=r"^a$"):
            run(conn, create(1, "a"))


@pytest.mark.parametrize(
    ("page", "folder"),
    [
        ("docs/architecture.md", "batchq"),
        ("docs/glossary.md", "batchq"),
        ("CONTRIBUTING.md", "."),
    ],
)
def test_files_named_in_pages_exist(page: str, folder: str) -> None:
    named = re.findall(r"`([a-z_]+/[a-z_0-9/]*(?:\.[a-z]+)?)`", (ROOT / page).read_text())

    assert named
    assert [name for name in named if not (ROOT / folder / name).exists()] == []


@pytest.mark.parametrize(
    "name",
    [
        "language.md",
        "guards.md",
        "declared.md",
        "bulk.md",
        "delete-rows.md",
        "versions.md",
        "convergence.md",
    ],
)
def test_examples_in_pages_are_true(conn: psycopg.Connection[Any], name: str) -> None:
    page = (ROOT / "docs" / name).read_text()
    (schema,) = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    conn.pgconn.exec_(schema.encode())
    parsed = doctest.DocTestParser().get_doctest(page, {"conn": conn}, name, None, 0)
    failures: list[str] = []

    doctest.DocTestRunner().run(parsed, out=failures.append)

    assert "".join(failures) == ""


@pytest.mark.parametrize(
    ("function", "options"), [(run, Options), (resume, ResumeOptions)], ids=["run", "resume"]
)
def test_docstring_describes_each_option(function: Any, options: Any) -> None:
    documented = function.__doc__

    assert [name for name in options.__annotations__ if f":param {name}:" not in documented] == []


@pytest.mark.parametrize("cls", [Violation, Matcher])
def test_docstring_describes_each_attribute(cls: Any) -> None:
    names = [field.name for field in attrs.fields(cls) if not field.name.startswith("_")]

    assert [name for name in names if f":ivar {name}:" not in cls.__doc__] == []


def test_each_public_name_has_a_docstring() -> None:
    undocumented = [name for name in batchq.__all__ if not getattr(batchq, name).__doc__]

    assert undocumented == []
