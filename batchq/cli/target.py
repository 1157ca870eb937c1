# SPDX-License-Identifier: MIT
"""The task that a command works on, and the connection to its database."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import click
import psycopg
from psycopg.conninfo import conninfo_to_dict

from batchq.bulk import Backfill, DeleteRows, DeleteTree
from batchq.bulk.errors import NoJobTable
from batchq.bulk.worker.failures import first_line
from batchq.cli.output import command_words
from batchq.language.errors import BatchError
from batchq.language.spelling import with_article

Task = DeleteTree | Backfill | DeleteRows


class Target(click.ParamType[Task]):
    """Convert ``module:attribute`` to a task.

    The current directory is searched first, as by ``python -m``.
    """

    name = "module:attribute"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Task:
        """Import the module and return its attribute."""
        if isinstance(value, Task):
            return value
        module, _, attribute = str(value).partition(":")
        if not (module and attribute):
            self.fail(f"{value!r} is not module:attribute, such as app.trees:VPC", param, ctx)
        if (here := os.getcwd()) not in sys.path:  # noqa: PTH109  sys.path is of strings
            sys.path.insert(0, here)
        try:
            target: object = importlib.import_module(module)
            for name in attribute.split("."):
                target = getattr(target, name)
        except (ImportError, AttributeError) as error:
            self.fail(f"{value}: {error}", param, ctx)
        if not isinstance(target, Task):
            found = with_article(type(target), unlike=(DeleteTree, Backfill, DeleteRows))
            self.fail(
                f"{value} is {found}, not a DeleteTree, a Backfill or a DeleteRows", param, ctx
            )
        return target


@contextmanager
def connected(dsn: str, *targets: Task) -> Generator[psycopg.Connection[Any]]:
    """Connect, and report errors of psycopg and batchq as one line without a traceback.

    :param targets: whose job tables are read.
    :raises click.ClickException: instead of those errors.
    """
    try:
        with _connection(dsn) as connection:
            yield connection
    except (psycopg.Error, BatchError, NoJobTable) as error:
        missing = (target.jobs.no_job_table(error) for target in targets)
        shown = next(filter(None, missing), error)
        raise click.ClickException(command_words(first_line(shown))) from error


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
    try:
        return psycopg.connect(dsn, autocommit=True, application_name="batchq bulk")
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
