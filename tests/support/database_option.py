# SPDX-License-Identifier: MIT
"""Choose the database of a run by the option --database: a pytest plugin for suite and benchmarks.

If the database cannot be used, the run ends before tests are collected, and prints the reason in
one line. The exit code is 5, pytest's "no tests were run", if a container needs a Docker engine and
none answers: a skipped run must not look like a success. It is 4 if the command line is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import psycopg
import pytest

from batchq.testing import InstallationMissing, databases, installations
from batchq.testing.databases import DATABASES, Database, DatabaseKind, DatabaseUnavailable, kind_of

POSTGRES = "18"
KIND = pytest.StashKey[DatabaseKind]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("batchq's servers")
    group.addoption(
        "--database",
        choices=DATABASES,
        default="embedded",
        help="what to run on: a PostgreSQL that starts by itself (default), a container of "
        "PostgreSQL, CockroachDB (a container, or at BATCHQ_COCKROACH_URL), or what is at "
        "DATABASE_URL",
    )
    group.addoption(
        "--postgres",
        default=POSTGRES,
        metavar="NAME",
        help=f"which PostgreSQL starts by itself: {', '.join(installations())} "
        f"(default {POSTGRES})",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "postgres_only(reason): cannot run on CockroachDB, and why (skipped there)"
    )


def pytest_cmdline_main(config: pytest.Config) -> pytest.ExitCode | None:
    # In this hook, because nothing has been printed yet: the output is this one line.
    name = config.getoption("--database")
    try:
        config.stash[KIND] = kind_of(name)
    except DatabaseUnavailable as missing:
        sys.stdout.write(f"--database={name}, skipped: {missing}\n")
        return pytest.ExitCode.NO_TESTS_COLLECTED
    except (ValueError, psycopg.OperationalError) as error:
        # libpq may take several lines.
        raise pytest.UsageError(f"--database={name}: {' '.join(str(error).split())}") from error
    return None


def pytest_report_header(config: pytest.Config) -> str:
    name, own = config.getoption("--database"), config.getoption("--postgres")
    return (
        f"database: {name} ({config.stash[KIND]}), "
        f"servers of a test's own: PostgreSQL {own} of {', '.join(installations())}"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.stash[KIND] == "PostgreSQL":
        return
    for item in items:
        if (marker := item.get_closest_marker("postgres_only")) is not None:
            item.add_marker(pytest.mark.skip(f"PostgreSQL only: {marker.args[0]}"))


@pytest.fixture(scope="session")
def database_settings() -> Mapping[str, str | int]:
    """Return settings for a PostgreSQL that this run starts; override it to change them."""
    return {}


@pytest.fixture(scope="session")
def shared_database(
    pytestconfig: pytest.Config, database_settings: Mapping[str, str | int]
) -> Iterator[Database]:
    """Yield the database of this run, started when a test first requests it.

    Do not kill or configure it, other programs may use it: `server(shared_database.installation)`
    starts one for that.
    """
    with ExitStack() as stack:
        try:
            running = stack.enter_context(
                databases.database(
                    pytestconfig.getoption("--database"),
                    installation=pytestconfig.getoption("--postgres"),
                    settings=database_settings,
                )
            )
        except (RuntimeError, InstallationMissing) as error:
            # Report it once, instead of in each test.
            pytest.exit(str(error), returncode=pytest.ExitCode.TESTS_FAILED)
        yield running
