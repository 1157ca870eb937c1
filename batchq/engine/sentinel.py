# SPDX-License-Identifier: MIT
"""Sentinels: how a guard's failure gets out of the server, and what it found with it.

A sentinel is text that is cast to boolean, which fails the statement with a message that quotes the
text. It begins with a token that is random per process, so that no user data can forge one, and is
of letters, digits and colons, so that no server quotes or translates any part of it.
"""

from __future__ import annotations

import re
import secrets

from attrs import frozen

from batchq.engine.names import identifier, literal

TOKEN = f"batchq:{secrets.token_hex(16)}:"
"""Sent as a parameter, so that the statement's text is the same in every process."""

SENTINEL_MARK = "\ue001"
"""Stands for the token's ``$n`` until all other parameters have their number."""

_ROWS = "rows"
_ISOLATION = "isolation"
_SENTINEL = re.compile(re.escape(TOKEN) + rf"({_ROWS}|{_ISOLATION}|\d+):(x?)([0-9a-f]*)")
_FIELD = re.compile(r'(?:^|,)(?:("(?:[^"\\]|""|\\.)*")|([^,]*))', re.DOTALL)
_ESCAPED = re.compile(r'["\\](["\\]|.)', re.DOTALL)
_AS_IT_IS = "'SQL_ASCII' IN (getdatabaseencoding(), current_setting('client_encoding'))"
"""Whether the server converts no text for this client, which then reads the bytes as they are."""
_CARRIED = f"CASE WHEN {_AS_IT_IS} THEN getdatabaseencoding() ELSE 'UTF8' END"
"""The encoding that a row's values are carried in."""
_MARKED = f"CASE WHEN {_AS_IT_IS} THEN 'x' ELSE '' END"
"""What stands before them, where that is the client's."""


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
    isolation: str | None = None
    """Of a guard on the isolation level: the level."""


def rows_sentinel(count: str) -> str:
    """Write the failure of a guard on the number of rows; ``count`` is SQL that has the number."""
    return f"CAST({SENTINEL_MARK}::text || 'rows:' || {count} AS boolean)"


def row_sentinel(requirement: int, found: str) -> str:
    """Write the failure of a guard on a row; ``found`` is SQL that makes the :func:`finding`."""
    return f"CAST({SENTINEL_MARK}::text || '{requirement}:' || {found} AS boolean)"


def isolation_sentinel(level: str) -> str:
    """Write the failure of a guard on the isolation level; ``level`` is SQL that has its name."""
    told = f"encode(convert_to({level}, 'UTF8'), 'hex')"
    return f"CAST({SENTINEL_MARK}::text || '{_ISOLATION}:' || {told} AS boolean)"


def finding(columns: tuple[str, ...], row: str = "") -> str:
    """Write what makes text of a row's values: name, type and text of each, as one row, in hex.

    As text, because every type has one, and because the adapters that the caller has registered
    read it back; in hex, because servers quote what they report in different ways. COALESCE with
    nothing makes a domain its base type, which is what a query says a column of it is. Of no
    columns it is still the text of a row, which no planner makes: a constant would fail at once.

    :param row: what stands before each column where two rows have it: ``"there."``.
    """
    cells = [
        f"{literal(column)}::text, pg_typeof(coalesce({name}, NULL))::regtype::oid, {name}"
        for column, name in ((column, row + identifier(column)) for column in columns)
    ]
    return f"{_MARKED} || encode(convert_to(ROW({', '.join(cells)})::text, {_CARRIED}), 'hex')"


def read(message: str, encoding: str = "utf-8") -> Sentinel | None:
    """Read the sentinel out of an error message, in whatever language it is; None without one.

    :param encoding: the client's, for values that the server does not convert.
    """
    seen = _SENTINEL.search(message)
    if seen is None:
        return None
    if seen[1] == _ROWS:
        return Sentinel(int(seen[3]), None)
    carried = bytes.fromhex(seen[3])
    told = carried.decode(encoding if seen[2] else "utf-8", "surrogateescape")
    if seen[1] == _ISOLATION:
        return Sentinel(None, None, isolation=told)
    fields = _fields(told)
    cells = zip(fields[::3], fields[1::3], fields[2::3], strict=True)
    found = tuple(Cell(column or "", int(type_ or 0), text) for column, type_, text in cells)
    return Sentinel(None, int(seen[1]), found)


def _fields(row: str) -> list[str | None]:
    """Take a row's text apart: ``(rcgen,20,5)`` (PostgreSQL documentation, "Composite Type Input
    and Output Syntax"). Nothing at all is NULL."""
    fields: list[str | None] = []
    inner = row[1:-1]
    for quoted, bare in _FIELD.findall(inner) if inner else ():
        plain = _ESCAPED.sub(r"\1", quoted[1:-1]) if quoted else bare
        fields.append(plain if quoted or bare else None)
    return fields
