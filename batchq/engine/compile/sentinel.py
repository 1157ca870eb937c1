# SPDX-License-Identifier: MIT
"""Write and read sentinels, by which a guard's failure and its row reach the client.

A sentinel is a text that is cast to boolean. The cast fails the statement with a message that
quotes the text. It begins with a token that is random for each process, so that user data cannot
forge one. It has only letters, digits and colons, so that no server quotes or translates a part.
"""

from __future__ import annotations

import re
import secrets
import struct
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
_STYLES = ("DateStyle", "IntervalStyle")
_HEAD = struct.Struct("!Ii")
_ROWS = "rows"
_ISOLATION = "isolation"
_SENTINEL = re.compile(re.escape(TOKEN) + rf"({_ROWS}|{_ISOLATION}|\d+):([0-9a-f]*)")
_FIELD = re.compile(r'(?:^|,)(?:("(?:[^"\\]|""|\\.)*")|([^,]*))', re.DOTALL)
_ESCAPED = re.compile(r'["\\](["\\]|.)', re.DOTALL)
_SERVERS = "pg_catalog.getdatabaseencoding()"
_NONE = "SQL_ASCII"
"""The encoding that the server converts no text from or to."""
_UNCONVERTED = " OR ".join(
    f"{encoding} OPERATOR(pg_catalog.=) '{_NONE}'"
    for encoding in (_SERVERS, "pg_catalog.current_setting('client_encoding')")
)
"""Whether the server converts no text for this client, which then reads the bytes unchanged."""
_ENCODING = f"CASE WHEN {_UNCONVERTED} THEN {_SERVERS} ELSE 'UTF8' END"
"""The encoding of a row's values in a sentinel."""


_SCALARS = ("float4", "float8", "date", "timestamp", "timestamptz", "interval")
"""The types whose text depends on the session's settings, and of which ranges and arrays exist."""
_RANGES = ("date", "ts", "tstz")


def _setting_dependent() -> Iterator[int]:
    for name in (*_SCALARS, *(f"{of}{kind}" for of in _RANGES for kind in ("range", "multirange"))):
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
    disable a guard. concat() is one function where an operator is one for each part, it is never
    evaluated while the server plans, and NULL does not make it NULL, which could be cast.
    """
    text = ", ".join((f"{token}::{_TEXT}", *parts))
    return f"CAST(pg_catalog.concat({text}) AS boolean)"


def encoded_row(columns: tuple[str, ...], row: str = "", *, binary: bool = True) -> str:
    """Return SQL for a row's values as text: what to read them by, names and texts, in hex.

    The values are text, because every type has one, and the caller's registered adapters read it.
    The row is in hex, because servers quote values in messages in different ways. A type whose text
    depends on the session's settings is there in binary as well. coalesce() with NULL replaces a
    domain by its base type, as a query reports it.

    The settings come first. So the text is not a constant even without columns: a planner would
    evaluate a constant at once, and fail.

    :param row: the prefix of the columns if the statement has two rows: ``"there."``.
    :param binary: whether the server can convert a value to binary in SQL.
    """
    values = [row + identifier(column) for column in columns]
    cells = [
        *(_SERVERS, *(f"pg_catalog.current_setting('{name}')" for name in _STYLES)),
        _types_in_binary(values) if binary else _types(values),
        *(f"{literal(column)}::{_TEXT}" for column in columns),
        *values,
    ]
    text = f"ROW({', '.join(cells)})::{_TEXT}"
    return f"pg_catalog.encode(pg_catalog.convert_to({text}, {_ENCODING}), 'hex')"


def _types_in_binary(values: list[str]) -> str:
    """Return SQL for a row in binary, which has the OID of each type and some values, in hex.

    A value of another type is NULL there: record_send() fails for a type without a binary form. A
    CASE without ELSE, as coalesce() with NULL, replaces a domain by its base type.
    """
    cells: list[str] = []
    for value in values:
        depends = (
            f"{_type(value)} OPERATOR(pg_catalog.=) "
            f"ANY ('{{{_SETTING_DEPENDENT}}}'::pg_catalog.oid[])"
        )
        cells.append(f"CASE WHEN {depends} THEN {value} END")
    return f"pg_catalog.encode(pg_catalog.record_send(ROW({', '.join(cells)})), 'hex')"


def _types(values: list[str]) -> str:
    """Return SQL for a row with the OID of each type."""
    return f"ROW({', '.join(map(_type, values))})::{_TEXT}"


def _type(value: str) -> str:
    return f"pg_catalog.pg_typeof(coalesce({value}, NULL))::pg_catalog.regtype::pg_catalog.oid"


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
    return Sentinel(None, int(match[1]), _cells(content, encoding))


def _cells(row: bytes, encoding: str) -> tuple[Cell, ...]:
    """Return the values of an :func:`encoded_row`."""
    unconverted = row.startswith(f"({_NONE},".encode())
    text = row.decode(encoding if unconverted else "utf-8", "surrogateescape")
    _, date_style, interval_style, kinds, *cells = _fields(text)
    styles = (date_style or "", interval_style or "")
    names, texts = cells[: len(cells) // 2], cells[len(cells) // 2 :]
    return tuple(
        Cell(name or "", type_, value, binary, styles)
        for name, value, (type_, binary) in zip(names, texts, _typed(kinds or ""), strict=True)
    )


def _typed(row: str) -> Iterator[tuple[int, bytes | None]]:
    """Yield the OID of each type, and the value in binary if it is there.

    A row in binary is the number of columns, and for each its type, length and value; the length of
    NULL is -1 (PostgreSQL source, ``record_send``).
    """
    if row.startswith("("):
        yield from ((int(field or 0), None) for field in _fields(row))
        return
    content = bytes.fromhex(row)
    place = 4
    while place < len(content):
        type_, length = _HEAD.unpack_from(content, place)
        place += _HEAD.size
        if length < 0:
            yield type_, None
        else:
            yield type_, content[place : place + length]
            place += length


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
