# SPDX-License-Identifier: MIT
"""Fixtures of all tests: one real server for a run, one empty schema for a test."""

from __future__ import annotations

import gc
import math
import os
import signal
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from batchq.bulk import Budget
from batchq.bulk.worker.options import WorkerOptions
from batchq.testing import Proxy, Server, proxy, server
from batchq.testing.databases import Database
from tests.support.clients import ITEMS, AsyncClient, Client, SyncClient
from tests.support.lock_waits import TIMEOUT, Race, race
from tests.support.sessions import Sessions

pytest_plugins = ["tests.support.database_option"]

_MOST_WORKERS = 8

Connect = Callable[..., psycopg.Connection[Any]]

# Servers' files are in memory if there is room: a table costs a third of what it does on a disk.
_MEMORY, _ROOM = "/dev/shm", 4 << 30  # noqa: S108  servers make directories below it
if "TMPDIR" not in os.environ and Path(_MEMORY).is_dir():
    _found = os.statvfs(_MEMORY)
    if _found.f_bavail * _found.f_frsize > _ROOM and not _found.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = tempfile.tempdir = _MEMORY

# Property tests judge values, never speed: a busy machine must not fail them.
# Each run draws other examples, so over many runs half as many each find as much.
settings.register_profile(
    "patient",
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("patient")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes `-n auto` starts: one for each CPU that this one may use.

    The default asks psutil for the machine's cores, which counts the two CPUs of a core as one.
    """
    usable = getattr(os, "sched_getaffinity", None)
    return min(len(usable(0)) if usable else os.cpu_count() or 1, _MOST_WORKERS)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exclude the collected tests, half a million objects that stay, from garbage collection.

    While they are made, it would look through all of them again and again.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def no_clock_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no default that is a time end anything: on a busy machine all of it may take long. A test
    that is about a time says which."""
    monkeypatch.setitem(Budget.__init__.__kwdefaults__, "seconds", math.inf)
    monkeypatch.setitem(WorkerOptions.__init__.__kwdefaults__, "timeout", float(TIMEOUT))
    monkeypatch.setitem(WorkerOptions.__init__.__kwdefaults__, "lease", timedelta(days=1))
    for pool in (ConnectionPool, AsyncConnectionPool):
        monkeypatch.setitem(pool.__init__.__kwdefaults__, "timeout", float(TIMEOUT))
        monkeypatch.setattr(pool.wait, "__defaults__", (float(TIMEOUT),))


# A shell ignores Ctrl-C for what it starts in the background, and so would all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres(shared_database: Database) -> Database:
    """Return the server of this run, by the name that fits most tests."""
    return shared_database


@pytest.fixture(scope="session")
def restartable_server(pytestconfig: pytest.Config) -> Iterator[Server]:
    """Start a server beside the shared one; tests request it by `restartable`."""
    with server(pytestconfig.getoption("--postgres")) as running:
        yield running


@pytest.fixture
def restartable(restartable_server: Server) -> Iterator[Server]:
    """Return a server that a test may restart and kill; afterwards it runs, without its tables."""
    yield restartable_server
    try:
        _ = restartable_server.pid
    except RuntimeError:
        restartable_server.restart()
    with psycopg.connect(restartable_server.conninfo()) as conn:
        conn.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")


# Another run may be on the same server, or one that was killed have left its schema there.
_SCHEMA = f"test_{token_hex(4)}"

# A session that a test left open holds locks on its tables. Only those sessions are ended: the
# server may have other users. A predicate lock does not count: it outlives its transaction, in a
# session that is idle. CockroachDB does not show locks, so there they are found by name.
_END_SESSIONS = {
    "PostgreSQL": """
        SELECT pg_terminate_backend(pid) FROM (
            SELECT DISTINCT pid FROM pg_locks
            WHERE pid <> pg_backend_pid() AND mode <> 'SIReadLock'
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND (
                relation IN (SELECT oid FROM pg_class WHERE relnamespace = {schema}::regnamespace)
                OR classid = 'pg_namespace'::regclass AND objid = {schema}::regnamespace
            )
        ) AS holders""",
    "CockroachDB": """
        CANCEL SESSIONS IF EXISTS (
            SELECT session_id FROM [SHOW SESSIONS] WHERE application_name = {schema}
        )""",
}


@pytest.fixture(scope="session")
def admin(postgres: Database) -> Iterator[psycopg.Connection[Any]]:
    """Return the connection that creates and drops the schema of each test."""
    with psycopg.connect(postgres.conninfo(), autocommit=True) as conn:
        yield conn


@pytest.fixture
def database(postgres: Database, admin: psycopg.Connection[Any]) -> Iterator[str]:
    """Return a conninfo, over TCP, for connections to an empty schema of this test's own.

    It is the same for all tests, so that their sessions can be.
    """
    schema = sql.Identifier(_SCHEMA)
    conninfo = postgres.conninfo(tcp=True)
    options = conninfo_to_dict(conninfo).get("options") or ""
    admin.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
    try:
        yield make_conninfo(
            conninfo,
            options=f"{options} -csearch_path={_SCHEMA},public".strip(),
            application_name=_SCHEMA,
        )
    finally:
        end_sessions = sql.SQL(_END_SESSIONS[postgres.kind])
        admin.execute(end_sessions.format(schema=sql.Literal(_SCHEMA)))
        admin.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(schema))


@pytest.fixture(scope="session")
def sessions(postgres: Database) -> Iterator[Sessions]:
    """Return what opens connections, in sessions of earlier tests."""
    with closing(Sessions(reuse=postgres.kind == "PostgreSQL")) as sessions:
        yield sessions


@pytest.fixture
def connect(database: str, sessions: Sessions) -> Iterator[Connect]:
    """Open connections to this test's schema, in autocommit by default; closed when it ends."""
    opened: list[psycopg.Connection[Any]] = []

    def open_one(**kwargs: Any) -> psycopg.Connection[Any]:
        opened.append(sessions.connect(database, **kwargs))
        return opened[-1]

    yield open_one
    for connection in opened:
        sessions.release(connection)


@pytest.fixture
def conn(connect: Connect) -> psycopg.Connection[Any]:
    """Connect to this test's schema, in autocommit."""
    return connect()


@pytest.fixture
def hide(conn: psycopg.Connection[Any]) -> Iterator[Callable[[str], object]]:
    """Continue in a role from which a policy hides the rows of a table."""
    (schema,) = conn.execute("SELECT current_schema").fetchone() or ("",)
    role = f"tenant_{schema}"
    conn.execute(
        f"CREATE ROLE {role}; GRANT USAGE ON SCHEMA {schema} TO {role};"
        f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {role}".encode()
    )
    yield lambda table: conn.execute(
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; SET ROLE {role}".encode()
    )
    conn.execute(f"RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}".encode())


@pytest.fixture
def racing(connect: Connect) -> Iterator[Race]:
    """Open two connections whose order locks force."""
    with race(connect) as racing:
        yield racing


@pytest.fixture
def link_mark(request: pytest.FixtureRequest) -> pytest.Mark:
    """Return the mark `link` of a test: the tables, and the settings of the client."""
    return request.node.get_closest_marker("link") or pytest.mark.link().mark


@pytest.fixture
def link(database: str, conn: psycopg.Connection[Any], link_mark: pytest.Mark) -> Iterator[Proxy]:
    """Start a proxy before a schema with tables: those of the mark `link`, or that of items."""
    for ddl in link_mark.args or [ITEMS]:
        conn.execute(ddl)
    with proxy(database) as link:
        yield link


@pytest.fixture(params=[SyncClient, AsyncClient], ids=["sync", "async"])
def linked(request: pytest.FixtureRequest, link: Proxy, link_mark: pytest.Mark) -> Iterator[Client]:
    """Connect a client through the proxy, once of each kind, with the settings of the mark."""
    with request.param(link.conninfo(), **link_mark.kwargs) as client:
        yield client
