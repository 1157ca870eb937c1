# SPDX-License-Identifier: MIT
"""Choose the directory and the port of an embedded server."""

from __future__ import annotations

import os
import random
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

from batchq.testing.server_user import ServerUser

__all__ = ["free_port", "new_directory"]

_TOPS = ("/tmp", "/var/tmp")  # noqa: S108  mkdtemp makes what is below
_LONGEST_TOP = 103 - len("/batchq-12345678/.s.PGSQL.12345")


def new_directory() -> Path:
    """Create a directory that the server's user may write, below TMPDIR if that is suitable."""
    account = ServerUser.current()
    given = tempfile.gettempdir()
    for top in (given, *_TOPS):
        if _is_plain(top) and account.can_write(Path(top)):
            return Path(tempfile.mkdtemp(prefix="batchq-", dir=top))
    raise RuntimeError(
        f"no directory is fit for a server's socket: set TMPDIR to a short path, not {given!r}"
    )


def _is_plain(top: str) -> bool:
    """Return True if a unix socket can be below it and all programs can be given its path.

    A socket's path has at most 107 bytes, on some systems 103. A comma separates paths for libpq
    and in PostgreSQL's settings, and initdb writes paths in quotes into a file and a shell command.
    """
    return len(os.fsencode(top)) <= _LONGEST_TOP and not set(",\"'$`\\\n").intersection(top)


def free_port() -> int:
    """Return an unused port of 127.0.0.1."""
    # Below the range that systems use for outgoing connections: one of those could take the port
    # while the server is down between kill() and restart().
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("found no free port on 127.0.0.1")
