# SPDX-License-Identifier: MIT
"""Write and read sentinels, by which a guard's failure and its row reach the client.

A sentinel is a text that is cast to boolean. The cast fails the statement with a message that
quotes the text. It begins with a token that is random for each process, so that user data cannot
forge one. It has only letters, digits and colons, so that no server quotes or translates a part.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

from attrs import frozen
from psycopg.postgres import types

from batchq.engine.compile.quoting import identifier, literal

TOKEN = f"batchq:{secrets.token_hex(16)}:"
"""The token. It is a parameter, so that a statement's text is the same in every process."""

SENTINEL_MARK = "\0token"
"""Placeholder of the token's ``$n`` until all other parameters are numbered. It has a NUL, because
no SQL and no name can have one."""

_TEXT = "pg_catalog.text"
_ROWS = "rows"
_ISOLATION = "isolation"
_SENTINEL = re.compile(re.escape(TOKEN) + rf"({_ROWS}|{_ISOLATION}|\d+):(x?)([0-9a-f]*)")
_FIELD = re.compile(r'(?:^|,)(?:("(?:[^"\\]|""|\\.)*")|([^,]*))', re.DOTALL)
_ESCAPED = re.compile(r'["\\](["\\]|.)', re.DOTALL)
_SERVERS = "pg_catalog.getdatabaseencoding()"
_UNCONVERTED = " OR ".join(
    f"{encoding}::{_TEXT} OPERATOR(pg_catalog.=) 'SQL_ASCII'"
    for encoding in (_SERVERS, "pg_catalog.current_setting('client_encoding')")
)
"""Whether the server converts no text for this client, which then reads the bytes unchanged."""
_ENCODING = f"CASE WHEN {_UNCONVERTED} THEN {_SERVERS} ELSE 'UTF8' END"
"""The encoding of a row's values in a sentinel."""
_PREFIX = f"CASE WHEN {_UNCONVERTED} THEN 'x' ELSE '' END"
"""The prefix of the values if that encoding is the client's."""


SCALARS = ("float4", "float8", "date", "timestamp", "timestamptz", "interval")
"""The types whose text depends on the session's settings, and of which ranges and arrays exist."""
_RANGES = ("date", "ts", "tstz")


def _setting_dependent() -> Iterator[int]:
    for name in (*SCALARS, *(f"{of}{kind}" for of in _RANGES for kind in ("range", "multirange"))):
        info = types[name]
        yield info.oid
        yield info.array_oid


_SETTING_DEPENDENT = ",".join(map(str, _setting_dependent()))


@frozen
class Cell:
    """One value of the row that a guard reports, as the server writes it."""

    column: str
    type: int
    """The OID of its type."""
    text: str | None
    """None for NULL. In a database with the encoding SQL_ASCII, bytes that are not UTF-8 become
    surrogates (PEP 383)."""
    binary: bytes | None = None
    """The same value in binary, if its text depends on the session's settings."""
    styles: tuple[str, ...] = ()
    """The DateStyle and IntervalStyle by which the text was written."""


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
    disable a guard.
    """
    text = " OPERATOR(pg_catalog.||) ".join((f"{token}::{_TEXT}", *parts))
    return f"CAST({text} AS boolean)"


def encoded_row(columns: tuple[str, ...], row: str = "", *, binary: bool = True) -> str:
    """Return SQL for a row's values as text: name, type, text and binary, as one row, in hex.

    The values are text, because every type has one, and the caller's registered adapters read it.
    The row is in hex, because servers quote values in messages in different ways. A type whose text
    depends on the session's settings is there in binary as well. coalesce() with NULL replaces a
    domain by its base type, as a query reports it.

    The settings come first. So the text is not a constant even without columns: a planner would
    evaluate a constant at once, and fail.

    :param row: the prefix of the columns if the statement has two rows: ``"there."``.
    :param binary: whether the server can convert a value to binary in SQL.
    """
    cells = [f"pg_catalog.current_setting('{name}')" for name in ("DateStyle", "IntervalStyle")]
    for column in columns:
        name = row + identifier(column)
        base = f"coalesce({name}, NULL)"
        kind = f"pg_catalog.pg_typeof({base})::pg_catalog.regtype::pg_catalog.oid"
        sent = f"pg_catalog.encode(pg_catalog.record_send(ROW({base})), 'hex')"
        oids = f"'{{{_SETTING_DEPENDENT}}}'::pg_catalog.oid[]"
        depends = f"{kind} OPERATOR(pg_catalog.=) ANY ({oids})"
        in_binary = f"CASE WHEN {depends} THEN {sent} END" if binary else f"NULL::{_TEXT}"
        cells += (f"{literal(column)}::{_TEXT}", kind, name, in_binary)
    text = f"ROW({', '.join(cells)})::{_TEXT}"
    encoded = f"pg_catalog.encode(pg_catalog.convert_to({text}, {_ENCODING}), 'hex')"
    return f"{_PREFIX} OPERATOR(pg_catalog.||) {encoded}"


def read(message: str, encoding: str = "utf-8") -> Sentinel | None:
    """Return the sentinel in an error message of any language; None without one.

    :param encoding: the client's, for values that the server does not convert.
    """
    match = _SENTINEL.search(message)
    if match is None:
        return None
    if match[1] == _ROWS:
        return Sentinel(int(match[3]), None)
    content = bytes.fromhex(match[3]).decode(encoding if match[2] else "utf-8", "surrogateescape")
    if match[1] == _ISOLATION:
        return Sentinel(None, None, isolation=content)
    fields = _fields(content)
    styles = tuple(style or "" for style in fields[:2])
    columns = zip(fields[2::4], fields[3::4], fields[4::4], fields[5::4], strict=True)
    cells = tuple(
        Cell(column or "", int(type_ or 0), text, _value(binary), styles)
        for column, type_, text, binary in columns
    )
    return Sentinel(None, int(match[1]), cells)


def _value(row: str | None) -> bytes | None:
    """Return the only value of a row in binary.

    The row begins with the number of columns; a column with its type and length (PostgreSQL source,
    ``record_send``).
    """
    return bytes.fromhex(row)[12:] if row else None


def _fields(row: str) -> list[str | None]:
    """Return the fields of a row's text, ``(rcgen,20,5)``; an empty field is NULL.

    (PostgreSQL documentation, "Composite Type Input and Output Syntax".)
    """
    fields: list[str | None] = []
    inner = row[1:-1]
    for quoted, bare in _FIELD.findall(inner) if inner else ():
        plain = _ESCAPED.sub(r"\1", quoted[1:-1]) if quoted else bare
        fields.append(plain if quoted or bare else None)
    return fields
