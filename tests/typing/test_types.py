# SPDX-License-Identifier: MIT
"""Both type checkers agree on ``api.py``: on every type it pins and everything it must refuse."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
API = Path(__file__).with_name("api.py")


def checked(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a checker of this environment with the project's own, strict settings."""
    # Pyright's warnings are about its own newer versions, and it asks the network for them.
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_mypy_infers_the_pinned_types() -> None:
    # The checkout may be read-only.
    cache = ROOT / ".mypy_cache" if os.access(ROOT, os.W_OK) else os.devnull
    done = checked("mypy", "--no-error-summary", f"--cache-dir={cache}", str(API))
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_pyright_infers_the_pinned_types() -> None:
    done = checked("pyright", "--outputjson", "--pythonpath", sys.executable, str(API))
    found = [
        f"{one['file']}:{one['range']['start']['line'] + 1}: {one['message']}"
        for one in json.loads(done.stdout)["generalDiagnostics"]
    ]
    assert (found, done.returncode) == ([], 0), done.stderr


def test_the_pinned_names_exist_at_run_time_too() -> None:
    runpy.run_path(str(API))
