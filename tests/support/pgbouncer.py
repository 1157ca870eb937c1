# SPDX-License-Identifier: MIT
"""Start PgBouncer in transaction mode, connected to the server of this run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from attrs import frozen
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from batchq.testing.endpoints import free_port, new_directory
from batchq.testing.server_user import ServerUser
from tests.support.lock_waits import TIMEOUT

SLOW_QUERY = "SELECT pg_sleep(600)"
"""Runs until the test ends its session."""

_TRACKS = (1, 21)
"""The first version with `max_prepared_statements`."""


@frozen
class Program:
    """A PgBouncer that is installed."""

    path: Path
    version: tuple[int, ...]

    @property
    def tracks(self) -> bool:
        """Whether it can keep track of prepared statements."""
        return self.version >= _TRACKS

    def __str__(self) -> str:
        return ".".join(map(str, self.version))


def programs() -> list[Program]:
    """Return each PgBouncer on the PATH, and in the directory of Debian's package."""
    found: dict[tuple[int, ...], Program] = {}
    for place in [*os.get_exec_path(), "/usr/sbin", "/usr/local/sbin"]:
        path = shutil.which("pgbouncer", path=place)
        if path is not None:
            output = subprocess.run(
                [path, "--version"], capture_output=True, text=True, check=False
            )
            if number := re.search(r"(\d+)\.(\d+)\.(\d+)", output.stdout + output.stderr):
                version = tuple(map(int, number.groups()))
                found.setdefault(version, Program(Path(path), version))
    return list(found.values())


@frozen
class Pooler:
    """A running PgBouncer."""

    program: Program
    _own: dict[str, Any]
    _dbname: str

    def conninfo(self, **parameters: str) -> str:
        """Return a conninfo of the database, through it."""
        return make_conninfo("", **self._own, dbname=self._dbname, **parameters)

    def console(self, command: str) -> list[dict[str, Any]]:
        """Run a command of its console: SHOW, PAUSE, RESUME, KILL, RECONNECT."""
        with psycopg.connect(
            make_conninfo("", **self._own, dbname="pgbouncer"),
            autocommit=True,
            row_factory=psycopg.rows.dict_row,
        ) as conn:
            answer = conn.execute(command)  # type: ignore[arg-type]
            return answer.fetchall() if answer.description else []


@contextmanager
def pgbouncer(program: Program, upstream: str, **settings: object) -> Iterator[Pooler]:
    """Start one before a server, and end it.

    :param upstream: how to reach the server; what an empty `options` sets there each of its
        connections sets as well, for PgBouncer lets no client do so.
    :param settings: of its section [pgbouncer].
    """
    account = ServerUser.current()
    directory = new_directory()
    try:
        server = conninfo_to_dict(upstream)
        port = free_port()
        given: dict[str, object] = {
            "listen_addr": "127.0.0.1",
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "any",
            "admin_users": server["user"],
            "pool_mode": "transaction",
            "ignore_startup_parameters": "extra_float_digits,options",
            **settings,
        }
        database = {
            "host": server["host"],
            "port": server["port"],
            "dbname": server["dbname"],
            "user": server["user"],
        }
        if path := re.search(r"search_path=(\S+)", str(server.get("options") or "")):
            database["connect_query"] = f"'SET search_path TO {path[1]}'"
        ini = directory / "pgbouncer.ini"
        lines = [
            "[databases]",
            "pooled = " + " ".join(f"{name}={value}" for name, value in database.items()),
            "[pgbouncer]",
            *(f"{name} = {value}" for name, value in given.items()),
        ]
        ini.write_text("\n".join(lines) + "\n")
        account.chown(directory)
        own = {"host": "127.0.0.1", "port": port, "user": server["user"]}
        with (directory / "log").open("wb") as log:
            process = account.start(program.path, ini, cwd=Path("/"), output=log.fileno())
        try:
            pooler = Pooler(program, own, "pooled")
            _wait_until_ready(pooler, process, directory / "log")
            yield pooler
        finally:
            process.kill()  # SIGTERM waits until all clients have disconnected (1.23 or newer)
            process.wait()
    finally:
        shutil.rmtree(directory)


def _wait_until_ready(pooler: Pooler, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            pooler.console("SHOW VERSION")
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PgBouncer did not start:\n{log.read_text()}") from error
        else:
            return
        time.sleep(0.02)
