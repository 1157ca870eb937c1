# SPDX-License-Identifier: MIT
"""The directory that servers of the tests' own are created in."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def scratch(monkeypatch):
    """Create the directory below which servers create their own; writable for all, as /tmp is."""
    # Not below TMPDIR: if that is long, a server avoids it, because of its socket's path.
    path = Path(tempfile.mkdtemp(prefix="scratch-", dir="/tmp"))
    path.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    yield path
    shutil.rmtree(path)
