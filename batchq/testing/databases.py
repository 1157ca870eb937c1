# SPDX-License-Identifier: MIT
"""Choose by name the database that tests and benchmarks run on.

It is an embedded server, a container, or an existing server.
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

from batchq.testing.servers import server

__all__ = ["DATABASES", "Database", "DatabaseKind", "DatabaseUnavailable", "database", "kind_of"]

DATABASES: Final = ("embedded", "postgres", "cockroach", "url")
"""`embedded`: an installed PostgreSQL, see `server()`. `postgres`: PostgreSQL in a container.
`cockroach`: the server at BATCHQ_COCKROACH_URL if that is set, or a container. `url`: the server at
DATABASE_URL."""

DatabaseKind = Literal["PostgreSQL", "CockroachDB"]

_VARIABLES: Final = {"cockroach": "BATCHQ_COCKROACH_URL", "url": "DATABASE_URL"}

_CONNECT_SECONDS = 60


class DatabaseUnavailable(LookupError):
    """A container is needed, and no Docker engine answers. The message is one line."""


@frozen
class Database:
    """A running server, made by `database()`.

    :ivar name: one of `DATABASES`.
    :ivar kind: `"PostgreSQL"` or `"CockroachDB"`.
    :ivar version: as psycopg reports it: `180004` is PostgreSQL 18.4, `250404` CockroachDB v25.4.4.
    :ivar installation: the PostgreSQL to start with `server()` for a test that kills or configures
        its server.
    """

    name: str
    kind: DatabaseKind
    version: int
    installation: str
    _local: str = field(repr=False)  # may hold a password
    _tcp: str = field(repr=False)

    def conninfo(self, *, tcp: bool = False) -> str:
        """Return a libpq connection string: for TCP, or for a unix socket if there is one.

        `tcp` is ignored for a server at a URL.
        """
        return self._tcp if tcp else self._local


def kind_of(name: str) -> DatabaseKind:
    """Return the kind of a database, after checking that it can be used.

    Looks for a Docker engine, or connects to the server at a URL; starts nothing.

    :raises ValueError: the name is unknown, or the variable with its URL is not set or malformed.
    :raises DatabaseUnavailable: it needs a Docker engine, and none answers.
    :raises psycopg.OperationalError: the login at the URL fails.

    >>> kind_of("embedded")
    'PostgreSQL'
    """
    if name not in DATABASES:
        raise ValueError(f"unknown database {name!r}; use one of: {', '.join(DATABASES)}")
    if url := _url_of(name):
        kind = _probe(url)[1]
        if name == "cockroach" and kind != "CockroachDB":
            raise ValueError(f"{_VARIABLES[name]} is the URL of a {kind}, not of a CockroachDB")
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
    """Start a database, or connect to an existing one; stop it at the end if it was started here.

    :param name: one of `DATABASES`.
    :param installation: which PostgreSQL to start for `embedded`, a name from `installations()`.
    :param settings: configuration parameters of a PostgreSQL that is started here. CockroachDB and
        existing servers are not changed.
    :raises RuntimeError: a container does not start.

    It also raises what `kind_of` and `server` raise.

    >>> with database("embedded") as running, psycopg.connect(running.conninfo()) as conn:
    ...     conn.execute("SELECT 1").fetchone()
    (1,)
    """
    kind_of(name)
    with ExitStack() as stack:
        if url := _url_of(name):
            local = tcp = _probe(url)[0]
        elif name == "embedded":
            embedded = stack.enter_context(server(installation, settings=settings))
            local, tcp = embedded.conninfo(), embedded.conninfo(tcp=True)
        else:
            # Imported here because testcontainers is optional, and slow to import.
            from batchq.testing.containers import cockroach_container, postgres_container  # noqa: PLC0415

            local = tcp = stack.enter_context(
                cockroach_container() if name == "cockroach" else postgres_container(settings or {})
            )
        _, kind, version = _probe(local)
        yield Database(name, kind, version, installation, local, tcp)


def _url_of(name: str) -> str | None:
    """Return the URL in the database's variable; an empty variable counts as not set."""
    variable = _VARIABLES.get(name, "")
    url = os.environ.get(variable) or None
    if name == "url" and url is None:
        raise ValueError(f"{variable} is not set: write {variable}=postgresql://user@host/database")
    try:
        conninfo_to_dict(url or "")
    except psycopg.ProgrammingError:
        # Its text quotes the part that it cannot parse, perhaps the password.
        raise ValueError(
            f"{variable} is not a connection string of libpq: write {variable}=postgresql://user@host/database"
        ) from None
    return url


def _find_docker(name: str) -> None:
    instead = f"; or set {_VARIABLES[name]}" if name in _VARIABLES else ""
    try:
        # Imported here because testcontainers is optional, and slow to import.
        from batchq.testing.containers import DockerException, find_docker  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise DatabaseUnavailable(f"a container needs testcontainers: {error}{instead}") from error
    try:
        find_docker()
    except DockerException as error:
        reason = " ".join(str(error).split())
        raise DatabaseUnavailable(
            f"a container needs a Docker engine, and none answers ({reason}){instead}"
        ) from error


def _probe(conninfo: str) -> tuple[str, DatabaseKind, int]:
    """Log in; return the conninfo with a host (which a proxy needs), the kind and the version."""
    with psycopg.connect(conninfo, connect_timeout=_CONNECT_SECONDS) as conn:
        resolved = make_conninfo(conninfo, host=conn.info.host, port=conn.info.port)
        if CrdbConnection.is_crdb(conn):
            return resolved, "CockroachDB", CrdbConnectionInfo(conn.pgconn).server_version
        return resolved, "PostgreSQL", conn.info.server_version
