# SPDX-License-Identifier: MIT
"""Options and fixtures of the benchmarks: a server, how long to measure, and the results.

On the embedded PostgreSQL, on another server, and for longer, so that there is less noise::

    python -m pytest benchmarks
    python -m pytest benchmarks --database=postgres|cockroach      # a container
    DATABASE_URL=postgresql://... python -m pytest benchmarks --database=url
    python -m pytest benchmarks --rounds 100 --calls 200 --benchmark-json FILE
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from batchq.testing.databases import Database
from benchmarks.cases import Effort
from benchmarks.environment import environment
from benchmarks.pytest_adapter import ENVIRONMENT

pytest_plugins = ["tests.support.database_option"]

_SECONDS = 1800
"""For one test: the first one of a case measures for all of them."""

# No commit waits for the disk, which all peers would do alike, and no vacuum runs during a turn.
_SETTINGS = {"synchronous_commit": "off", "autovacuum": "off"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("batchq's benchmarks")
    group.addoption("--rounds", type=int, default=25, help="turns of each peer (default 25)")
    group.addoption("--calls", type=int, default=40, help="calls in a turn (default 40)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests time."""
    for item in items:
        item.add_marker(pytest.mark.timeout(_SECONDS))


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Write the environment to the result file."""
    machine_info["batchq"] = ENVIRONMENT


@pytest.fixture(scope="session")
def database_settings() -> Mapping[str, str | int]:
    """Return the settings of a server that this run starts."""
    return _SETTINGS


@pytest.fixture(scope="session")
def conninfo(shared_database: Database) -> str:
    """Return the server of this run."""
    ENVIRONMENT.update(environment(shared_database.conninfo()))
    return shared_database.conninfo()


@pytest.fixture(scope="session")
def effort(pytestconfig: pytest.Config) -> Effort:
    """Return how long to measure."""
    return Effort(pytestconfig.getoption("--rounds"), pytestconfig.getoption("--calls"))
