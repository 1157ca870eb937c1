# SPDX-License-Identifier: MIT
"""An import loads what it needs: the driver comes with the first run, sqlglot with SQL to scan."""

from __future__ import annotations

import subprocess
import sys

import pytest

import batchq

DRIVER = "psycopg batchq.engine batchq.running"
EXTRAS = "sqlglot tenacity psycopg_pool rich click batchq.bulk batchq.limits batchq.testing"
BUILT = 'insert("project", {"id": 7}).expect(1), update("project", {"id": 7}, where={"id": [8]})'


def loaded(code: str, modules: str) -> list[str]:
    """Return which of some modules a fresh interpreter has loaded after a piece of code."""
    code += f"\nimport sys; print(*(name for name in {modules.split()} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_import_loads_no_driver_and_no_extra():
    assert loaded("import batchq", f"{DRIVER} {EXTRAS}") == []


def test_statements_are_composed_without_the_driver():
    names = "gather, insert, sql, update"
    code = f'from batchq import {names}\ngather({BUILT}, sql("SELECT 1").scalar(int))'
    assert loaded(code, DRIVER) == []


def test_run_loads_the_driver_and_no_extra():
    assert loaded("from batchq import run", f"{DRIVER} {EXTRAS}") == DRIVER.split()


def test_built_statements_are_compiled_without_sqlglot():
    code = f"from batchq import explain, gather, insert, update\nexplain(gather({BUILT}))"
    assert loaded(code, "sqlglot") == []


@pytest.mark.parametrize(
    "statement", ['sql("SELECT 1")', 'insert("project", {"id": sql("1")})', 'delete("a", sql("b"))']
)
def test_sql_of_the_user_loads_sqlglot(statement: str):
    code = f"from batchq import delete, explain, insert, sql\nexplain({statement})"
    assert loaded(code, "sqlglot") == ["sqlglot"]


def test_each_public_name_exists_and_is_listed():
    assert {name for name in batchq.__all__ if getattr(batchq, name)} <= set(dir(batchq))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'batchq' has no attribute 'execute'"):
        _ = batchq.execute  # type: ignore[attr-defined]
