# SPDX-License-Identifier: MIT
"""Under whose name a server's programs run: PostgreSQL refuses to run as root."""

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
"""What a shell does not take as it is between double quotes."""


@attrs.frozen
class ServerUser:
    """The user and group that run the programs; `None` is ourselves."""

    user: int | None = None
    group: int | None = None
    extra_groups: tuple[int, ...] | None = None

    @classmethod
    def current(cls) -> ServerUser:
        """Ourselves, or `nobody` when we are root."""
        if os.geteuid() != 0:
            return cls()
        entry = pwd.getpwnam("nobody")
        return cls(entry.pw_uid, entry.pw_gid, ())

    def chown(self, top: Path) -> None:
        """Make `top` and everything below it the account's own."""
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
        """Start a program; `stdin` and `output` (standard output and error) as for Popen."""
        return subprocess.Popen(
            command,
            cwd=cwd,
            # A PGDATA or PGPORT meant for somebody else's server must not reach this one.
            env={name: value for name, value in os.environ.items() if not name.startswith("PG")},
            stdin=stdin,
            stdout=output,
            stderr=output,
            # Ctrl-C is for the tests; the server ends when they are done cleaning up.
            start_new_session=True,
            user=self.user,
            group=self.group,
            extra_groups=self.extra_groups,
        )

    def can_write(self, directory: Path) -> bool:
        """Whether the account may make and delete files there, and go there at all."""
        if self.user is None:
            return os.access(directory, os.W_OK | os.X_OK)
        test = '[ -w "$1" ] && [ -x "$1" ]'
        return self.start("sh", "-c", test, "test", directory, cwd=Path("/")).wait() == 0

    def readable_programs(self, programs: Path, directory: Path) -> Path:
        """`programs`, or a copy of the whole installation, made in `directory`.

        A copy where the account may not read them (a venv below /root), and where the path means
        something else to a shell: initdb asks one to start postgres, by its path in quotes.
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
        for path in copies.rglob("*"):  # a checkout may be read-only; what is deleted may not
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)
        self.chown(copies)
        return copies / package.name / prefix.name / programs.name
