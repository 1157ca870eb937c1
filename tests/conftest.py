# SPDX-License-Identifier: MIT
"""What every test stands on: one real server a run, one empty schema a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from batchq.testing import Server, installations, server

DEFAULT = "18"

Connect = Callable[..., psycopg.Connection[Any]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--postgres",
        default=DEFAULT,
        metavar="NAME",
        help=f"which PostgreSQL to test on: {', '.join(installations())} (default {DEFAULT})",
    )


def pytest_report_header(config: pytest.Config) -> str:
    return f"postgres: {config.getoption('--postgres')} of {', '.join(installations())}"


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> Iterator[Server]:
    """The server of this run. Do not kill it: start one of your own for that."""
    with server(pytestconfig.getoption("--postgres")) as started:
        yield started


_schemas = count()


@pytest.fixture
def database(postgres: Server) -> Iterator[str]:
    """A conninfo, over TCP, whose connections live in an empty schema of this test's own."""
    name = f"test_{next(_schemas)}"
    with psycopg.connect(postgres.conninfo(), autocommit=True) as admin:
        admin.execute(f'CREATE SCHEMA "{name}"')  # type: ignore[arg-type]
        yield make_conninfo(postgres.conninfo(tcp=True), options=f"-csearch_path={name},public")
        # Whoever the test left connected would hold locks on what is to be dropped.
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        admin.execute(f'DROP SCHEMA "{name}" CASCADE')  # type: ignore[arg-type]


@pytest.fixture
def connect(database: str) -> Iterator[Connect]:
    """Open connections to this test's schema; closed when it ends. Autocommit unless told."""
    opened: list[psycopg.Connection[Any]] = []

    def open_one(**kwargs: Any) -> psycopg.Connection[Any]:
        connection = psycopg.connect(database, **{"autocommit": True, **kwargs})
        opened.append(connection)
        return connection

    yield open_one
    for connection in opened:
        connection.close()


@pytest.fixture
def conn(connect: Connect) -> psycopg.Connection[Any]:
    """A connection to this test's schema, in autocommit."""
    return connect()
