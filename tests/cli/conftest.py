# SPDX-License-Identifier: MIT
"""Run the command line on a module with a task of each kind."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from batchq.bulk import Jobs
from batchq.cli.main import batchq

MODULE = """
from batchq import sql
from batchq.bulk import Backfill, ChildDelete, DeleteRows, DeleteTree
from batchq.hierarchy import Parent

VPC = Parent(table="vpc", key="id", deleted_at="time_deleted", generation="rcgen")
RULES = VPC.children("rule", by="vpc_id", deleted_at=None)

class Trees:
    VPC = DeleteTree(
        name="vpc", parent=VPC, children=[ChildDelete(relation=RULES)], inline_limit=10)

LOWER = Backfill(name="lower", table="rule", set={"name": sql("lower(name)")},
                 where=sql("name <> lower(name)"))
OLD = DeleteRows(name="old", table="rule", where={"name": "Rule"})
"""
TABLES = """
CREATE TABLE vpc (id int PRIMARY KEY, rcgen bigint NOT NULL DEFAULT 0, time_deleted timestamptz);
CREATE TABLE rule (id int PRIMARY KEY, vpc_id int NOT NULL, name text, UNIQUE (vpc_id, id));
INSERT INTO vpc VALUES (1), (2);
INSERT INTO rule SELECT n, 1, 'Rule' FROM generate_series(1, 1000) n;
INSERT INTO rule SELECT n, 2, 'rule' FROM generate_series(10001, 10005) n;
"""

TREE, LOWER, OLD = "cli_trees:Trees.VPC", "cli_trees:LOWER", "cli_trees:OLD"

Run = Callable[..., Result]


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Return a function that writes a module into the current directory, and returns that."""

    def write(name: str, text: str) -> Path:
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", sys.path[:])
        monkeypatch.delitem(sys.modules, name, raising=False)
        return tmp_path

    return write


@pytest.fixture
def command(database: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run ``batchq …`` on this test's database."""
    monkeypatch.setenv("DATABASE_URL", database)
    return lambda *words: CliRunner().invoke(batchq, [*map(str, words)])


@pytest.fixture
def app(write_module: Callable[[str, str], Path]) -> Path:
    """Write the module into the current directory, and return that."""
    return write_module("cli_trees", MODULE)


@pytest.fixture
def estate(conn: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """Create the tables: one VPC has 1,000 rules, one has 5."""
    conn.execute(TABLES, prepare=False)
    conn.execute(Jobs().ddl(), prepare=False)  # type: ignore[arg-type]
    return conn


@pytest.fixture
def cli(app: Path, command: Run) -> Run:
    """Run ``batchq bulk …`` on this test's database."""
    return partial(command, "bulk")
