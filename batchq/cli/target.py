# SPDX-License-Identifier: MIT
"""What a command is about, named as ``module:attribute``; and the database it is on."""

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

from batchq.bulk import Rewrite, Tree
from batchq.bulk.activation.failing import told
from batchq.language.errors import BatchError

Work = Tree | Rewrite


class Target(click.ParamType[Work]):
    """A :class:`Tree` or :class:`Rewrite` that a module has as an attribute.

    Modules are looked for in the current directory as well, as ``python -m`` does.
    """

    name = "module:attribute"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Work:
        """Import it."""
        if isinstance(value, Tree | Rewrite):
            return value
        module, _, attribute = str(value).partition(":")
        if not (module and attribute):
            self.fail(f"{value!r} is not module:attribute, such as app.trees:VPC", param, ctx)
        if (here := os.getcwd()) not in sys.path:  # noqa: PTH109  sys.path is of strings
            sys.path.insert(0, here)
        try:
            found: Any = importlib.import_module(module)
            for name in attribute.split("."):
                found = getattr(found, name)
        except (ImportError, AttributeError) as error:
            self.fail(f"{value}: {error}", param, ctx)
        if not isinstance(found, Tree | Rewrite):
            self.fail(f"{value} is a {type(found).__name__}, not a Tree or a Rewrite", param, ctx)
        return found


@contextmanager
def connected(dsn: str) -> Generator[psycopg.Connection[Any]]:
    """Connect, and tell what the server or the library refuses as people want to read it.

    :raises click.ClickException: in the place of psycopg's and batchq's errors.
    """
    try:
        with _connection(dsn) as connection:
            yield connection
    except (psycopg.Error, BatchError) as error:
        raise click.ClickException(told(error)) from error


_REACHED = re.compile("connection to server (?:at|on) ")
"""How libpq begins where it knows which server is meant (PostgreSQL sources, fe-connect.c)."""


def _connection(dsn: str) -> psycopg.Connection[Any]:
    """Connect, and show nothing of what cannot be read: libpq quotes the part that it stumbles
    over, which may be the password, or what is left of it behind an ``@`` that is in it."""
    try:
        conninfo_to_dict(dsn)
    except psycopg.Error:
        message = f"libpq cannot read the connection string, which is not shown here: {_FORM}"
        raise click.ClickException(message) from None
    try:
        return psycopg.connect(dsn, autocommit=True, application_name="batchq bulk")
    except psycopg.Error as error:
        if _REACHED.search(str(error)):
            raise click.ClickException(str(error).strip()) from error
        message = f"there is no server as the connection string says, not shown here: {_FORM}"
        raise click.ClickException(message) from None


_FORM = (
    "postgresql://user:password@host:port/database, with %40 for an @, %2F for a / and %3A for a : "
    "in a password, or host=… user=… dbname=…"
)
