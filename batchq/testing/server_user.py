# SPDX-License-Identifier: MIT
"""Run a server's programs as an ordinary user, because PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import attrs

__all__ = ["ServerUser"]

_UNQUOTABLE = frozenset('"$`\\')
"""Characters that are special to a shell inside double quotes."""


@attrs.frozen
class ServerUser:
    """User and group of the programs; `None` means those of this process."""

    user: int | None = None
    group: int | None = None
    extra_groups: tuple[int, ...] | None = None

    @classmethod
    def current(cls) -> ServerUser:
        """Return the current user, or the user `nobody` if this process runs as root."""
        if os.geteuid() != 0:
            return cls()
        entry = pwd.getpwnam("nobody")
        return cls(entry.pw_uid, entry.pw_gid, ())

    def chown(self, top: Path) -> None:
        """Give `top` and everything below it to this user."""
        if self.user is not None and self.group is not None:
            for path in (top, *top.rglob("*")):
                os.chown(path, self.user, self.group, follow_symlinks=False)

    def start(
        self,
        *command: str | Path,
        cwd: Path,
        stdin: int = subprocess.DEVNULL,
        output: int = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """Start a program as this user; `output` is for standard output and error."""
        return subprocess.Popen(
            command,
            cwd=cwd,
            # A PGDATA or PGPORT that is set for another server must not affect this one.
            env={name: value for name, value in os.environ.items() if not name.startswith("PG")},
            stdin=stdin,
            stdout=output,
            stderr=output,
            # Ctrl-C must not reach the server: tests still need it while they clean up.
            start_new_session=True,
            user=self.user,
            group=self.group,
            extra_groups=self.extra_groups,
        )

    def can_write(self, directory: Path) -> bool:
        """Return True if this user may create and delete files in the directory."""
        if self.user is None:
            return os.access(directory, os.W_OK | os.X_OK)
        test = '[ -w "$1" ] && [ -x "$1" ]'
        return self.start("sh", "-c", test, "test", directory, cwd=Path("/")).wait() == 0

    def readable_programs(self, programs: Path, directory: Path) -> Path:
        """Return `programs`, or those of a copy of the installation in `directory`.

        A copy is made if this user may not read them (a venv below /root), or if their path has
        characters that are special to a shell: initdb starts postgres by a shell command.
        """
        if not _UNQUOTABLE.intersection(str(programs)):
            with suppress(PermissionError):
                if self.start(programs / "initdb", "--version", cwd=Path("/")).wait() == 0:
                    return programs
        prefix = programs.parent
        package = prefix.parent
        copies = directory / "programs"
        shutil.copytree(prefix, copies / package.name / prefix.name, symlinks=True)
        # A wheel's programs find their shared libraries relative to themselves, in <package>.libs.
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, copies / libraries.name, symlinks=True)
        for path in copies.rglob(
            "*"
        ):  # so that the copy can be deleted: a checkout may be read-only
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)
        self.chown(copies)
        return copies / package.name / prefix.name / programs.name
