# SPDX-License-Identifier: MIT
"""The connection of a command, and how its errors are reported: one line, without a traceback."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import click
import psycopg
from psycopg.conninfo import conninfo_to_dict

from batchq.bulk.errors import NoJobTable
from batchq.bulk.worker.failures import first_line
from batchq.cli.exit_codes import Exit, exit_of_refusal
from batchq.cli.output import command_words
from batchq.language.errors import BatchError
from batchq.versions import VersionError

Explain = Callable[[Exception], Exception | None]
"""Return the error to report in the place of another one; None to report that one."""


class _NotYet(click.ClickException):
    """What a command asks for is not possible now, and may be later."""

    exit_code = Exit.AGAIN

    def show(self, file: Any = None) -> None:
        """Print why, not as an error."""
        click.echo(f"Not yet: {self.format_message()}", file=file, err=True)


@contextmanager
def connected(dsn: str, *explain: Explain) -> Generator[psycopg.Connection[Any]]:
    """Connect, and report errors of psycopg and batchq as one line without a traceback.

    SIGTERM interrupts as Ctrl-C does, so that the server is asked to cancel: the session of a
    process that is killed continues, and may commit.

    :param explain: by which a missing table is reported with what creates it.
    :raises click.ClickException: instead of those errors.
    :raises SystemExit: instead of KeyboardInterrupt.
    """
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _connection(dsn) as connection:
            yield connection
    except VersionError as error:
        kind = _NotYet if exit_of_refusal(error) is Exit.AGAIN else click.ClickException
        raise kind(str(error)) from error
    except (psycopg.Error, BatchError, NoJobTable) as error:
        shown = next(filter(None, (explained(error) for explained in explain)), error)
        raise click.ClickException(command_words(first_line(shown))) from error
    except KeyboardInterrupt as interrupt:
        notes = getattr(interrupt, "__notes__", ())
        click.echo("\n".join(["Interrupted.", *notes]), err=True)
        sys.exit(Exit.INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, previous)


def _connection(dsn: str) -> psycopg.Connection[Any]:
    """Connect, and print nothing of the connection string if that fails.

    libpq and the server quote parts of it: what cannot be parsed, a host, a database, a role. A
    password may be in each of them, if a character of it is not escaped.
    """
    try:
        conninfo_to_dict(dsn)
    except (psycopg.Error, UnicodeError):
        message = f"libpq cannot parse the connection string (not shown here); write {_FORM}"
        raise click.ClickException(message) from None
    command = click.get_current_context().command_path
    try:
        return psycopg.connect(dsn, autocommit=True, application_name=command)
    except psycopg.Error as error:
        causes = [cause for pattern, cause in _CAUSES if pattern.search(str(error))]
        cause = causes[0] if causes else f"found no server by the connection string; write {_FORM}"
        message = (
            f"cannot connect: {cause} (psql shows the whole message, with parts of the string)"
        )
        raise click.ClickException(message) from None


_CAUSES = [
    (re.compile(pattern), cause)
    for pattern, cause in {
        "password authentication failed": "the server rejects the password",
        "no password supplied": "the server wants a password",
        "role .* does not exist": "there is no such role",
        "database .* does not exist": "there is no such database",
        "pg_hba.conf": "pg_hba.conf of the server has no entry for this",
        "too many|remaining connection slots": "the server has no connection left",
        "starting up|shutting down|in recovery": "the server is starting or stopping",
        "Connection refused": "the server refuses connections: is it running at this address?",
        "No such file": "there is no socket, or no other file, at a path of the connection string",
        "timeout expired|timed out": "the server does not answer",
        "could not translate host name": "the host is unknown",
        "SSL|certificate": "TLS is not possible as the connection string demands it",
    }.items()
]
"""What libpq and the server report, in English, and what is printed instead."""

_FORM = (
    "postgresql://user:password@host:port/database, with %40 for an @, %2F for a / and %3A for a : "
    "in a password, or host=… user=… dbname=…"
)
