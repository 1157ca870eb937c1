# SPDX-License-Identifier: MIT
"""`server()` starts, crashes, restarts and deletes everything it created."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import nullcontext, suppress
from pathlib import Path

import psycopg
import pytest

import batchq.testing
from batchq.testing import installations, server
from tests.support.lock_waits import TIMEOUT

# Programs for a subprocess: start a server, print its directory, and wait for a signal. All their
# processes inherit a pipe, whose other end is readable once the last of them has ended. They sleep
# again and again: a signal just before `signal.pause()` would only be handled after the next one.
INHERIT = """
import functools, subprocess, sys, time
subprocess.Popen = functools.partial(subprocess.Popen, pass_fds=[int(sys.argv[1])])
from batchq.testing import Server, server
"""
RUNNING = f"""{INHERIT}
with server() as postgres:
    print(postgres.directory, flush=True)
    while True:
        time.sleep(1)
"""
CREATING = f"""{INHERIT}
wait = Server._wait_until_created
def print_and_wait(postgres):
    print(postgres.directory, flush=True)
    wait(postgres)
Server._wait_until_created = print_and_wait
with server():
    raise SystemExit("no signal came")
"""
INTERRUPTED = """
import time
import psycopg
from batchq.testing import server
with server() as postgres, psycopg.connect(postgres.conninfo()) as conn:
    try:
        print("ready", flush=True)
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        print(conn.execute("SELECT 'still here'").fetchone()[0])
"""


def python(program, *inherited):
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, inherited)],
        pass_fds=inherited,
        env={**os.environ, "PYTHONPATH": str(Path(batchq.testing.__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("name", installations())
def test_each_installation_starts_under_its_name(name):
    with server(name) as postgres, psycopg.connect(postgres.conninfo()) as conn:
        assert postgres.installation == name
        assert postgres.version == conn.info.server_version
        assert postgres.version // 10_000 == int(name)
        assert (postgres.bin / "psql").exists()


def test_server_listens_on_a_unix_socket_and_on_loopback(restartable):
    with psycopg.connect(restartable.conninfo()) as conn:
        assert conn.info.host == str(restartable.socket_directory)
        assert conn.execute("SELECT inet_server_addr()").fetchone() == (None,)
    with psycopg.connect(restartable.conninfo(tcp=True)) as conn:
        address = conn.execute("SELECT host(inet_server_addr()), inet_server_port()").fetchone()
        assert address == ("127.0.0.1", restartable.port)


def test_settings_override_defaults_and_pg_variables_are_ignored(monkeypatch):
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with server(settings={"max_connections": 7, "log_line_prefix": "it's "}) as postgres:
        monkeypatch.delenv("PGCLIENTENCODING")  # a client reads it too
        with psycopg.connect(postgres.conninfo()) as conn:
            assert conn.execute("SHOW max_connections").fetchone() == ("7",)
            assert conn.execute("SHOW log_line_prefix").fetchone() == ("it's ",)
            assert conn.execute("SHOW fsync").fetchone() == ("off",)
            assert conn.execute("SHOW client_encoding").fetchone() == ("UTF8",)


def test_database_is_copied_from_a_template_and_dropped_despite_sessions(restartable):
    restartable.create_database("first")
    with psycopg.connect(restartable.conninfo("first")) as conn:
        conn.execute("CREATE TABLE t (a int)")
    restartable.create_database('the "second"', template="first")
    with psycopg.connect(restartable.conninfo('the "second"')) as conn:
        assert conn.execute("SELECT count(*) FROM t").fetchone() == (0,)
        conn.rollback()
        restartable.drop_database('the "second"')
        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(restartable.conninfo('the "second"'))


def test_committed_rows_survive_a_kill_and_uncommitted_rows_do_not(restartable):
    conn = psycopg.connect(restartable.conninfo(tcp=True), autocommit=True)
    conn.execute("CREATE TABLE t (a int)")
    conn.execute("INSERT INTO t VALUES (1)")
    conn.execute("BEGIN")
    conn.execute("INSERT INTO t VALUES (2)")
    first = restartable.pid
    restartable.kill()
    try:
        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")
        conn.close()
        with pytest.raises(psycopg.OperationalError, match="refused"):
            psycopg.connect(restartable.conninfo(tcp=True))
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)
        with pytest.raises(RuntimeError, match="restart"):
            _ = restartable.pid
        addresses = restartable.conninfo(), restartable.conninfo(tcp=True)
    finally:
        restartable.restart()
    assert (restartable.conninfo(), restartable.conninfo(tcp=True)) == addresses
    assert restartable.pid != first
    for conninfo in addresses:
        with psycopg.connect(conninfo) as conn:
            assert conn.execute("SELECT a FROM t").fetchall() == [(1,)]


def test_restart_of_a_running_server_ends_its_sessions(restartable):
    with psycopg.connect(restartable.conninfo()) as conn:
        conn.execute("SELECT 1")
        restartable.restart()
        with pytest.raises(psycopg.errors.AdminShutdown):
            conn.execute("SELECT 1")


@pytest.mark.parametrize("ends", ["killed", "raising"])
def test_everything_is_deleted_when_the_block_ends(scratch, ends):
    with suppress(KeyboardInterrupt), server() as postgres:
        pid, supervisor = postgres.pid, postgres._supervisor.pid
        assert list(scratch.iterdir()) == [postgres.directory]
        if ends == "killed":
            postgres.kill()
        else:
            raise KeyboardInterrupt
    assert list(scratch.iterdir()) == []
    for process in (pid, supervisor):
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_server_that_does_not_start_reports_its_log_and_leaves_nothing(scratch):
    with (
        pytest.raises(RuntimeError, match="shared_buffers"),
        server(settings={"shared_buffers": "much"}),
    ):
        pass
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("program", [CREATING, RUNNING], ids=["creating", "running"])
def test_everything_is_deleted_when_the_process_is_ended(program, signum):
    all_ended, inherited = os.pipe()
    with python(program, inherited) as process:
        os.close(inherited)
        directory = Path(process.stdout.readline().strip())
        assert directory.is_dir()
        log = (directory / "server.log").open() if program is RUNNING else nullcontext()
        process.send_signal(signum)
    assert select.select([all_ended], [], [], TIMEOUT)[0], "still running"
    os.close(all_ended)
    assert not directory.exists()
    with log:  # the server is stopped before its files are deleted
        assert program is CREATING or "received immediate shutdown request" in log.read()


def test_ctrl_c_in_a_terminal_does_not_reach_the_server():
    with python(INTERRUPTED) as process:
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.read() == "still here\n"
