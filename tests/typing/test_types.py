# SPDX-License-Identifier: MIT
"""Names that the other files use exist at run time; `make types` checks their types."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

FILES = sorted({*Path(__file__).parent.glob("*.py")} - {Path(__file__)})


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_names_exist_at_run_time(file: Path) -> None:
    runpy.run_path(str(file))
