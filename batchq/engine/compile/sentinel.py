# SPDX-License-Identifier: MIT
"""Write and read sentinels, by which a guard's failure and its row reach the client.

A sentinel is a text that is cast to boolean. The cast fails the statement with a message that
quotes the text. It begins with a token that is random for each process, so that user data cannot
forge one. It has only letters, digits and colons, so that no server quotes or translates a part.
"""

from __future__ import annotations

import re
import secrets

from attrs import frozen

from batchq.engine.compile.row_text import Cell, read_row

TOKEN = f"batchq:{secrets.token_hex(16)}:"
"""The token. It is a parameter, so that a statement's text is the same in every process."""

SENTINEL_MARK = "\0token"
"""Placeholder of the token's ``$n`` until all other parameters are numbered. It has a NUL, because
no SQL and no name can have one."""

_TEXT = "pg_catalog.text"
_ROWS = "rows"
_ISOLATION = "isolation"
_SENTINEL = re.compile(re.escape(TOKEN) + rf"({_ROWS}|{_ISOLATION}|\d+):([0-9a-f]*)")


@frozen
class Sentinel:
    """The content of a guard's failure."""

    rows: int | None
    """The number of rows, from a guard on it."""
    requirement: int | None
    """The index of the requirement that the row does not meet, from a guard on a row."""
    cells: tuple[Cell, ...] = ()
    """The values of that row."""
    isolation: str | None = None
    """The isolation level, from a guard on it."""


def rows_sentinel(count: str) -> str:
    """Return SQL that fails with the number of rows; ``count`` is SQL for the number."""
    return _failing("'rows:'", f"{count}::{_TEXT}")


def row_sentinel(requirement: int, row: str, *, token: str = SENTINEL_MARK) -> str:
    """Return SQL that fails with a row; ``row`` is SQL for the :func:`encoded_row`."""
    return _failing(f"'{requirement}:'", row, token=token)


def isolation_sentinel(level: str) -> str:
    """Return SQL that fails with the isolation level; ``level`` is SQL for its name."""
    encoded = f"pg_catalog.encode(pg_catalog.convert_to({level}, 'UTF8'), 'hex')"
    return _failing(f"'{_ISOLATION}:'", encoded)


def _failing(*parts: str, token: str = SENTINEL_MARK) -> str:
    """Return the cast that fails.

    Every name has its schema: a user's function or type that is earlier in the search path must not
    disable a guard. concat() is one function where an operator is one for each part, it is never
    evaluated while the server plans, and NULL does not make it NULL, which could be cast.
    """
    text = ", ".join((f"{token}::{_TEXT}", *parts))
    return f"CAST(pg_catalog.concat({text}) AS boolean)"


def read(message: str, encoding: str = "utf-8") -> Sentinel | None:
    """Return the sentinel in an error message of any language; None without one.

    :param encoding: the client's, for values that the server does not convert.
    """
    match = _SENTINEL.search(message)
    if match is None:
        return None
    if match[1] == _ROWS:
        return Sentinel(int(match[2]), None)
    content = bytes.fromhex(match[2])
    if match[1] == _ISOLATION:
        return Sentinel(None, None, isolation=content.decode())
    return Sentinel(None, int(match[1]), read_row(content, encoding))
