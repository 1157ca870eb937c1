# SPDX-License-Identifier: MIT
"""Sentinels: how a guard's failure gets out of the server, and what it found with it.

A sentinel is text that is cast to boolean, which fails the statement with a message that quotes the
text. It begins with a token that is random per process, so that no user data can forge one, and is
of letters, digits and colons, so that no server quotes or translates any part of it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

from attrs import frozen
from psycopg.postgres import types

from batchq.engine.compile.quoting import identifier, literal

TOKEN = f"batchq:{secrets.token_hex(16)}:"
"""Sent as a parameter, so that the statement's text is the same in every process."""

SENTINEL_MARK = "\0token"
"""Stands for the token's ``$n`` until all other parameters have their number. A NUL, because no SQL
and no name has one."""

_TEXT = "pg_catalog.text"
_ROWS = "rows"
_ISOLATION = "isolation"
_SENTINEL = re.compile(re.escape(TOKEN) + rf"({_ROWS}|{_ISOLATION}|\d+):(x?)([0-9a-f]*)")
_FIELD = re.compile(r'(?:^|,)(?:("(?:[^"\\]|""|\\.)*")|([^,]*))', re.DOTALL)
_ESCAPED = re.compile(r'["\\](["\\]|.)', re.DOTALL)
_SERVERS = "pg_catalog.getdatabaseencoding()"
_AS_IT_IS = " OR ".join(
    f"{encoding}::{_TEXT} OPERATOR(pg_catalog.=) 'SQL_ASCII'"
    for encoding in (_SERVERS, "pg_catalog.current_setting('client_encoding')")
)
"""Whether the server converts no text for this client, which then reads the bytes as they are."""
_CARRIED = f"CASE WHEN {_AS_IT_IS} THEN {_SERVERS} ELSE 'UTF8' END"
"""The encoding that a row's values are carried in."""
_MARKED = f"CASE WHEN {_AS_IT_IS} THEN 'x' ELSE '' END"
"""What stands before them, where that is the client's."""


SCALARS = ("float4", "float8", "date", "timestamp", "timestamptz", "interval")
"""The types whose text the session's settings change, and from which others are made."""
_RANGES = ("date", "ts", "tstz")


def _styled() -> Iterator[int]:
    for name in (*SCALARS, *(f"{of}{kind}" for of in _RANGES for kind in ("range", "multirange"))):
        info = types[name]
        yield info.oid
        yield info.array_oid


_STYLED = ",".join(map(str, _styled()))


@frozen
class Cell:
    """One value that a guard found, as the server writes it."""

    column: str
    type: int
    """The OID of its type."""
    text: str | None
    """None for NULL. What is not UTF-8, in a database that does not say its encoding, is in
    surrogates (PEP 383)."""
    binary: bytes | None = None
    """The same value in binary, where the text hangs on the session's settings."""
    styles: tuple[str, ...] = ()
    """The DateStyle and IntervalStyle that the text was written under."""


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
    return _failing("'rows:'", f"{count}::{_TEXT}")


def row_sentinel(requirement: int, found: str, *, token: str = SENTINEL_MARK) -> str:
    """Write the failure of a guard on a row; ``found`` is SQL that makes the :func:`finding`."""
    return _failing(f"'{requirement}:'", found, token=token)


def isolation_sentinel(level: str) -> str:
    """Write the failure of a guard on the isolation level; ``level`` is SQL that has its name."""
    told = f"pg_catalog.encode(pg_catalog.convert_to({level}, 'UTF8'), 'hex')"
    return _failing(f"'{_ISOLATION}:'", told)


def _failing(*parts: str, token: str = SENTINEL_MARK) -> str:
    """Write the cast that fails. Everything has its schema: a function or type of the user's that
    comes first in a search path must not silence a guard."""
    text = " OPERATOR(pg_catalog.||) ".join((f"{token}::{_TEXT}", *parts))
    return f"CAST({text} AS boolean)"


def finding(columns: tuple[str, ...], row: str = "", *, binary: bool = True) -> str:
    """Write what makes text of a row's values: name, type, text and binary, as one row, in hex.

    As text, because every type has one, and because the adapters that the caller has registered
    read it back; in hex, because servers quote what they report in different ways. Those types
    whose text the session's settings change are there in binary as well. COALESCE with nothing
    makes a domain its base type, which is what a query says a column of it is. Before all of them
    stand the settings, so of no columns it is still something that no planner makes: a constant
    would fail at once.

    :param row: what stands before each column where two rows have it: ``"there."``.
    :param binary: whether the server can make a value binary in SQL.
    """
    cells = [f"pg_catalog.current_setting('{name}')" for name in ("DateStyle", "IntervalStyle")]
    for column in columns:
        name = row + identifier(column)
        base = f"coalesce({name}, NULL)"
        kind = f"pg_catalog.pg_typeof({base})::pg_catalog.regtype::pg_catalog.oid"
        sent = f"pg_catalog.encode(pg_catalog.record_send(ROW({base})), 'hex')"
        styled = f"{kind} OPERATOR(pg_catalog.=) ANY ('{{{_STYLED}}}'::pg_catalog.oid[])"
        in_binary = f"CASE WHEN {styled} THEN {sent} END" if binary else f"NULL::{_TEXT}"
        cells += (f"{literal(column)}::{_TEXT}", kind, name, in_binary)
    text = f"ROW({', '.join(cells)})::{_TEXT}"
    coded = f"pg_catalog.encode(pg_catalog.convert_to({text}, {_CARRIED}), 'hex')"
    return f"{_MARKED} OPERATOR(pg_catalog.||) {coded}"


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
    styles = tuple(style or "" for style in fields[:2])
    cells = zip(fields[2::4], fields[3::4], fields[4::4], fields[5::4], strict=True)
    found = tuple(
        Cell(column or "", int(type_ or 0), text, _value(binary), styles)
        for column, type_, text, binary in cells
    )
    return Sentinel(None, int(seen[1]), found)


def _value(row: str | None) -> bytes | None:
    """Take the one value out of a row in binary: number of columns, and of each type and length
    (PostgreSQL source, ``record_send``)."""
    return bytes.fromhex(row)[12:] if row else None


def _fields(row: str) -> list[str | None]:
    """Take a row's text apart: ``(rcgen,20,5)`` (PostgreSQL documentation, "Composite Type Input
    and Output Syntax"). Nothing at all is NULL."""
    fields: list[str | None] = []
    inner = row[1:-1]
    for quoted, bare in _FIELD.findall(inner) if inner else ():
        plain = _ESCAPED.sub(r"\1", quoted[1:-1]) if quoted else bare
        fields.append(plain if quoted or bare else None)
    return fields
