# SPDX-License-Identifier: MIT
"""Names that ``api.py`` pins for type checkers exist at run time; `make types` checks the types."""

from __future__ import annotations

import runpy
from pathlib import Path

API = Path(__file__).with_name("api.py")


def test_the_pinned_names_exist_at_run_time_too() -> None:
    runpy.run_path(str(API))
