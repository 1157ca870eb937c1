# SPDX-License-Identifier: MIT
"""Sentinels: how a guard's failure gets out of the server, and what it found with it.

A sentinel is text that is cast to boolean, which fails the statement with a message that quotes the
text. It begins with a token that is random per process, so that no user data can forge one, and is
of letters, digits and colons, so that no server quotes or translates any part of it.
"""

from __future__ import annotations

import json
import re
import secrets
from typing import cast

from attrs import frozen

from batchq.engine.names import identifier, literal

TOKEN = f"batchq:{secrets.token_hex(16)}:"
"""Sent as a parameter, so that the statement's text is the same in every process."""

SENTINEL_MARK = "\ue001"
"""Stands for the token's ``$n`` until all other parameters have their number."""

_SENTINEL = re.compile(re.escape(TOKEN) + r"(rows|\d+):([0-9a-f]*)")

_SQL_ROWS = "rows"


@frozen
class Cell:
    """One value that a guard found, as the server writes it."""

    column: str
    type: int
    """The OID of its type."""
    text: str | None
    """None for NULL."""


@frozen
class Sentinel:
    """What a guard's failure says."""

    rows: int | None
    """Of a guard on the number of rows: how many there were."""
    requirement: int | None
    """Of a guard on a row: which of the statement's requirements it does not meet."""
    found: tuple[Cell, ...] = ()


def rows_sentinel(count: str) -> str:
    """Write the failure of a guard on the number of rows; ``count`` is SQL that has the number."""
    return f"CAST({SENTINEL_MARK}::text || 'rows:' || {count} AS boolean)"


def row_sentinel(requirement: int, found: str) -> str:
    """Write the failure of a guard on a row; ``found`` is SQL that makes the :func:`finding`."""
    return f"CAST({SENTINEL_MARK}::text || '{requirement}:' || {found} AS boolean)"


def finding(columns: tuple[str, ...]) -> str:
    """Write what makes text of a row's values: name, type and text of each, as JSON, in hex.

    As text, because every type has one, and because the adapters that the caller has registered
    read it back; in hex, because servers quote what they report in different ways.
    """
    cells: list[str] = []
    for column in columns:
        name = identifier(column)
        type_ = f"pg_typeof({name})::regtype::oid::int8"
        text = f"CASE WHEN {name} IS NULL THEN NULL ELSE format('%s', {name}) END"
        cells.append(f"jsonb_build_array({literal(column)}::text, {type_}, {text})")
    return f"encode(convert_to(jsonb_build_array({', '.join(cells)})::text, 'UTF8'), 'hex')"


def read(message: str) -> Sentinel | None:
    """Read the sentinel out of an error message, in whatever language it is; None without one."""
    seen = _SENTINEL.search(message)
    if seen is None:
        return None
    if seen[1] == _SQL_ROWS:
        return Sentinel(int(seen[2]), None)
    cells = cast("list[tuple[str, int, str | None]]", json.loads(bytes.fromhex(seen[2]) or "[]"))
    return Sentinel(None, int(seen[1]), tuple(Cell(*cell) for cell in cells))
