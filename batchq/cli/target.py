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


_REACHED = re.compile("connection to server (?:at|on) ")
"""How libpq begins an error once it knows the server's address (fe-connect.c)."""


def _connection(dsn: str) -> psycopg.Connection[Any]:
    """Connect, without printing a malformed connection string.

    libpq quotes the part that it cannot parse: perhaps the password, or the rest of it after an
    ``@``.
    """
    try:
        conninfo_to_dict(dsn)
    except psycopg.Error:
        message = f"libpq cannot parse the connection string (not shown here); write {_FORM}"
        raise click.ClickException(message) from None
    try:
        return psycopg.connect(dsn, autocommit=True, application_name="batchq bulk")
    except psycopg.Error as error:
        if _REACHED.search(str(error)):
            raise click.ClickException(str(error).strip()) from error
        message = f"found no server by the connection string (not shown here); write {_FORM}"
        raise click.ClickException(message) from None


_FORM = (
    "postgresql://user:password@host:port/database, with %40 for an @, %2F for a / and %3A for a : "
    "in a password, or host=… user=… dbname=…"
)
