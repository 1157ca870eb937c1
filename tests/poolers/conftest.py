# SPDX-License-Identifier: MIT
"""Each PgBouncer that is installed, in transaction mode, keeping track of prepared statements and
not. Where there is none these tests are skipped: `apt-get install pgbouncer`, and for one that
tracks on a Debian before 13 `.ci/pgbouncer DIRECTORY`, with that directory on the PATH."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from attrs import frozen

from tests.support.pgbouncer import SLOW_QUERY, Pooler, Program, pgbouncer, programs

ITEMS = """
CREATE TABLE item (id text PRIMARY KEY, size int CONSTRAINT item_size_check CHECK (size > 0),
    name text)
"""


@frozen
class Lane:
    """A PgBouncer, and whether it keeps track of prepared statements."""

    tracks: bool
    program: Program | None
    missing: str = ""


def _lanes() -> Iterator[Lane]:
    found = programs()
    missing = "no PgBouncer is installed: apt-get install pgbouncer"
    for program in found:
        yield Lane(False, program)
    if not found:
        yield Lane(False, None, missing)
    tracking = [program for program in found if program.tracks]
    for program in tracking:
        yield Lane(True, program)
    if not tracking:
        older = f"PgBouncer {found[0]} cannot: it takes 1.21" if found else missing
        yield Lane(True, None, older)


def _title(lane: Lane) -> str:
    how = "tracking" if lane.tracks else "not tracking"
    return f"{lane.program or 'none'} {how}"


@pytest.fixture(params=list(_lanes()), ids=_title)
def lane(request: pytest.FixtureRequest) -> Lane:
    found: Lane = request.param
    if found.program is None:
        pytest.skip(found.missing)
    return found


@pytest.fixture
def start(lane: Lane, database: str, conn: psycopg.Connection[Any]) -> Iterator[Any]:
    """Start a PgBouncer for this test's schema, with the table of items in it."""
    conn.execute(ITEMS)
    with ExitStack() as stack:

        def start(**settings: object) -> Pooler:
            assert lane.program is not None
            if lane.program.tracks:
                settings["max_prepared_statements"] = 100 if lane.tracks else 0
            return stack.enter_context(pgbouncer(lane.program, database, **settings))

        yield start
    # A server session that PgBouncer has cut off works on, and REINDEX CONCURRENTLY waits for it.
    conn.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND usename = current_user AND query = %s",
        [SLOW_QUERY],
        prepare=False,
    )


@pytest.fixture
def clients(start: Callable[..., Pooler]) -> Iterator[Any]:
    """Open connections through a PgBouncer that has two to the server."""
    pooler = start(default_pool_size=2)
    with ExitStack() as stack:

        def client(**settings: Any) -> psycopg.Connection[Any]:
            settings = {"autocommit": True, "prepare_threshold": 0, **settings}
            return stack.enter_context(psycopg.connect(pooler.conninfo(), **settings))

        yield client
