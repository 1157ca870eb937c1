# SPDX-License-Identifier: MIT
"""Describe what the figures of a run depend on: server, machine and versions."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

import psycopg


def environment(conninfo: str) -> dict[str, str]:
    """Return a name and a text of each."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        text = "SELECT version(), current_setting('synchronous_commit'), current_setting('fsync')"
        server, synchronous, fsync = conn.execute(text).fetchone() or ("?",) * 3
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return {
        "server": str(server).split(" on ")[0],
        "settings": f"synchronous_commit {synchronous}, fsync {fsync}",
        "Python": platform.python_version(),
        "psycopg": f"{version('psycopg')} ({psycopg.pq.__impl__}), libpq {psycopg.pq.version()}",
        "peers": f"asyncpg {version('asyncpg')}, SQLAlchemy {version('sqlalchemy')}",
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, {platform.system()}",
        "load at the start": f"{load:.1f}",
    }
