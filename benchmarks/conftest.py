# SPDX-License-Identifier: MIT
"""What the benchmarks stand on: a server, how often to measure, and one place for what is seen.

On the embedded PostgreSQL, on another one, and for longer, so that there is less noise::

    python -m pytest benchmarks
    python -m pytest benchmarks --database=postgres|cockroach      # a container
    DATABASE_URL=postgresql://... python -m pytest benchmarks --database=url
    python -m pytest benchmarks --rounds 100 --calls 200
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from attrs import frozen

from batchq.testing.databases import Database
from benchmarks.report import show
from benchmarks.results import Results, environment

pytest_plugins = ["tests.support.database_option"]

_SECONDS = 1800
"""For one test: the first one of a module measures for all of them."""

# Nothing is flushed to disk, which all peers would wait for alike. No one tidies up in the middle
# of somebody's turn.
_SETTINGS = {"synchronous_commit": "off", "autovacuum": "off"}


@frozen
class Effort:
    """How long to measure: so many turns of each peer, of so many calls."""

    rounds: int
    calls: int


_RESULTS = pytest.StashKey[Results]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long to measure, on what, and where to put what is seen."""
    group = parser.getgroup("batchq's benchmarks")
    group.addoption("--rounds", type=int, default=25, help="turns of each peer (default 25)")
    group.addoption("--calls", type=int, default=40, help="calls in a turn (default 40)")
    group.addoption(
        "--results", type=Path, metavar="FILE", help="write all figures to a file, for the charts"
    )


def pytest_configure(config: pytest.Config) -> None:
    """One place for what is seen."""
    config.stash[_RESULTS] = Results()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests time."""
    for item in items:
        item.add_marker(pytest.mark.timeout(_SECONDS))


@pytest.hookimpl(trylast=True)  # below the tables of pytest-benchmark
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the tables, and write the file."""
    results = config.stash[_RESULTS]
    if not results.environment:
        return
    terminalreporter.write_line("")
    for line in show(results, colours=terminalreporter.hasmarkup):
        terminalreporter.write_line(line)
    path: Path | None = config.getoption("--results")
    if path is not None:
        results.save(path)


@pytest.fixture(scope="session")
def database_settings() -> Mapping[str, str | int]:
    """Of a server that this run starts."""
    return _SETTINGS


@pytest.fixture(scope="session")
def conninfo(shared_database: Database) -> str:
    """The server of this run."""
    return shared_database.conninfo()


@pytest.fixture(scope="session")
def results(pytestconfig: pytest.Config, conninfo: str) -> Results:
    """What this run has found out so far."""
    found = pytestconfig.stash[_RESULTS]
    found.environment = environment(conninfo)
    return found


@pytest.fixture(scope="session")
def effort(pytestconfig: pytest.Config) -> Effort:
    """How long to measure."""
    return Effort(pytestconfig.getoption("--rounds"), pytestconfig.getoption("--calls"))
