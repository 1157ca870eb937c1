# SPDX-License-Identifier: MIT
"""Options and fixtures of the benchmarks: a server, how long to measure, and the results.

On the embedded PostgreSQL, on another server, and for longer, so that there is less noise::

    python -m pytest benchmarks
    python -m pytest benchmarks --database=postgres|cockroach      # a container
    DATABASE_URL=postgresql://... python -m pytest benchmarks --database=url
    python -m pytest benchmarks --times 5 --benchmark-json FILE
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import psycopg
import pytest

from batchq.testing.databases import Database
from benchmarks.delay_proxy import delay_proxy, round_trip
from benchmarks.sandbox import SETTINGS

pytest_plugins = ["tests.support.database_option"]

_ENVIRONMENT: dict[str, str] = {}
"""What the figures of this run depend on."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    group = parser.getgroup("batchq's benchmarks")
    group.addoption("--times", type=int, default=1, help="so many times as many rounds (default 1)")


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Write the environment to the result file."""
    machine_info["batchq"] = _ENVIRONMENT


@pytest.fixture(scope="session")
def database_settings() -> Mapping[str, str | int]:
    """Return the settings of a server that this run starts."""
    return SETTINGS


@pytest.fixture(scope="session")
def conninfo(shared_database: Database) -> str:
    """Return the server of this run."""
    _ENVIRONMENT.update(_environment(shared_database.conninfo()))
    return shared_database.conninfo()


def _environment(conninfo: str) -> dict[str, str]:
    """Return a name and a text of each."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        text = "SELECT version(), current_setting('synchronous_commit'), current_setting('fsync')"
        server, synchronous, fsync = conn.execute(text).fetchone() or ("?",) * 3
    with delay_proxy(conninfo) as link:
        far, near = round_trip(link.conninfo) * 1e6, round_trip(conninfo) * 1e6
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return {
        "server": str(server).split(" on ")[0],
        "settings": f"synchronous_commit {synchronous}, fsync {fsync}",
        "Python": platform.python_version(),
        "psycopg": f"{version('psycopg')} ({psycopg.pq.__impl__}), libpq {psycopg.pq.version()}",
        "peers": f"asyncpg {version('asyncpg')}, SQLAlchemy {version('sqlalchemy')}",
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, {platform.system()}",
        "delay proxy": f"{far:.0f} us a round trip by itself, beside {near:.0f} us directly",
        "load at the start": f"{load:.1f}",
    }
