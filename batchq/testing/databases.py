# SPDX-License-Identifier: MIT
"""One name for each server that tests and benchmarks can run on, so that a command line can choose:
one that starts by itself, one in a container, one that is there already.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Final, Literal

import psycopg
from attrs import field, frozen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.crdb import CrdbConnection, CrdbConnectionInfo

from .servers import server

__all__ = ["DATABASES", "Database", "DatabaseKind", "DatabaseUnavailable", "database", "kind_of"]

DATABASES: Final = ("embedded", "postgres", "cockroach", "url")
"""`embedded`: a PostgreSQL of this machine's, see `server()`. `postgres`: one in a container.
`cockroach`: the server at BATCHQ_COCKROACH_URL where that is set, or one in a container. `url`: the
server at DATABASE_URL."""

DatabaseKind = Literal["PostgreSQL", "CockroachDB"]

_VARIABLES: Final = {"cockroach": "BATCHQ_COCKROACH_URL", "url": "DATABASE_URL"}

_CONNECT_SECONDS = 60


class DatabaseUnavailable(LookupError):
    """There is no Docker engine here to run a container on. The text is one line and says why."""


@frozen
class Database:
    """A running server, made by `database()`.

    Attributes:
        name: what it was asked for by, `"embedded"`.
        kind: `"PostgreSQL"` or `"CockroachDB"`.
        version: as psycopg spells it: `180004` is PostgreSQL 18.4, `250404` CockroachDB v25.4.4.
        installation: the PostgreSQL that a test starts, with `server(engine.installation)`, when
            it needs one of its own: to kill it, or to configure it.
    """

    name: str
    kind: DatabaseKind
    version: int
    installation: str
    _local: str = field(repr=False)  # may hold a password
    _tcp: str = field(repr=False)

    def conninfo(self, *, tcp: bool = False) -> str:
        """A libpq connection string: over a unix socket where we know of one, or over TCP.

        A server at a URL is reached as that URL says, whatever `tcp` is.
        """
        return self._tcp if tcp else self._local


def kind_of(name: str) -> DatabaseKind:
    """Tell which database an engine is, once it is sure that it can be had here.

    Looks for a Docker engine, or connects to the server that a variable names; starts nothing.

    Raises:
        ValueError: there is no such engine, or the variable that it needs is not set or wrong.
        DatabaseUnavailable: it needs a Docker engine, and none answers.
        psycopg.OperationalError: the server that a variable names does not let us in.

    >>> kind_of("embedded")
    'PostgreSQL'
    """
    if name not in DATABASES:
        raise ValueError(f"no database is called {name!r}; there are: {', '.join(DATABASES)}")
    if url := _given(name):
        kind = _meet(url)[1]
        if name == "cockroach" and kind != "CockroachDB":
            raise ValueError(f"{_VARIABLES[name]} is the address of a {kind}")
        return kind
    if name != "embedded":
        _find_docker(name)
    return "CockroachDB" if name == "cockroach" else "PostgreSQL"


@contextmanager
def database(
    name: str = "embedded",
    *,
    installation: str = "18",
    settings: Mapping[str, str | int] | None = None,
) -> Generator[Database]:
    """Start a server, or find the one that is there already; what was started is stopped again.

    Args:
        name: one of `DATABASES`.
        installation: which PostgreSQL is the embedded one, a name from `installations()`.
        settings: PostgreSQL's configuration parameters, for one that is started here. CockroachDB
            and a server that was there already stay as they are.

    Raises:
        What `kind_of` raises, and what `server` does; RuntimeError when a container does not start.

    >>> with database("embedded") as running, psycopg.connect(running.conninfo()) as conn:
    ...     conn.execute("SELECT 1").fetchone()
    (1,)
    """
    kind_of(name)
    with ExitStack() as stack:
        if url := _given(name):
            local = tcp = _meet(url)[0]
        elif name == "embedded":
            embedded = stack.enter_context(server(installation, settings=settings))
            local, tcp = embedded.conninfo(), embedded.conninfo(tcp=True)
        else:
            # Imported late: testcontainers is optional, and slow.
            from .containers import cockroach_container, postgres_container  # noqa: PLC0415

            local = tcp = stack.enter_context(
                cockroach_container() if name == "cockroach" else postgres_container(settings or {})
            )
        _, kind, version = _meet(local)
        yield Database(name, kind, version, installation, local, tcp)


def _given(name: str) -> str | None:
    """What the engine's variable holds; an empty one is not set."""
    variable = _VARIABLES.get(name, "")
    url = os.environ.get(variable) or None
    if name == "url" and url is None:
        raise ValueError(f"{variable} is not set: {variable}=postgresql://user@host/database")
    try:
        conninfo_to_dict(url or "")
    except psycopg.ProgrammingError:
        # Its text quotes what it could not read, a password maybe.
        raise ValueError(
            f"{variable} is no connection string of libpq: {variable}=postgresql://user@host/database"
        ) from None
    return url


def _find_docker(name: str) -> None:
    instead = f"; or set {_VARIABLES[name]}" if name in _VARIABLES else ""
    try:
        # Imported late: testcontainers is optional, and slow.
        from .containers import DockerException, find_docker  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise DatabaseUnavailable(f"a container takes testcontainers: {error}{instead}") from error
    try:
        find_docker()
    except DockerException as error:
        why = " ".join(str(error).split())
        raise DatabaseUnavailable(
            f"a container takes a Docker engine, and none answers ({why}){instead}"
        ) from error


def _meet(conninfo: str) -> tuple[str, DatabaseKind, int]:
    """Log in once: the conninfo with a host, which a proxy before it needs; what is there."""
    with psycopg.connect(conninfo, connect_timeout=_CONNECT_SECONDS) as conn:
        found = make_conninfo(conninfo, host=conn.info.host, port=conn.info.port)
        if CrdbConnection.is_crdb(conn):
            return found, "CockroachDB", CrdbConnectionInfo(conn.pgconn).server_version
        return found, "PostgreSQL", conn.info.server_version
