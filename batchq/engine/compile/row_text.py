# SPDX-License-Identifier: MIT
"""Write the SQL for the row that a guard reports, and read its text.

The row is one text with all that it takes to read its values: the encoding, how dates and intervals
are written, and each value's type and name. The values are text, because every type has one, and
the caller's registered adapters read it.

``format()`` writes it, because a server sets up each function and each row of a statement whenever
it runs, also in a guard that does not fire, but nothing for the values of one ``format()``.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence

from attrs import frozen
from psycopg.postgres import types

from batchq.engine.compile.quoting import identifier, literal

_SERVERS = "pg_catalog.getdatabaseencoding()"
_NONE = "SQL_ASCII"
"""The encoding that the server converts no text from or to."""
_UNCONVERTED = " OR ".join(
    f"{encoding} OPERATOR(pg_catalog.=) '{_NONE}'"
    for encoding in (_SERVERS, "pg_catalog.current_setting('client_encoding')")
)
"""Whether the server converts no text for this client, which then reads the bytes unchanged."""
_UTF8 = "'UTF8'"
_ENCODING = f"CASE WHEN {_UNCONVERTED} THEN {_SERVERS} ELSE {_UTF8} END"
"""The encoding of a row's values."""
_STYLES = ("'2001-02-03'::pg_catalog.date", "'1 day'::pg_catalog.interval")
"""A date and an interval, which show the styles that the session writes them in. They are
constants, so they cost nothing, and they are not constant as texts: a planner would evaluate such a
text at once, and fail."""

_SCALARS = ("float8", "date", "timestamp", "timestamptz", "interval")
"""The types whose text depends on the session's settings, and of which ranges and arrays exist. A
float4 is not among them: a query returns 0.1, where psycopg reads 0.10000000149011612 of four
bytes."""
_RANGES = ("date", "ts", "tstz")
_MOST_ARGUMENTS = 40
"""The most values in one ``format()``. PostgreSQL passes at most 100 arguments to a function
(``FUNC_MAX_ARGS``), and a value is there with its type."""
_HEAD = struct.Struct("!Ii")
_FIELD = re.compile(r",(?:[eE]?'((?:[^'\\]|''|\\.)*)'|NULL)", re.DOTALL)
_ESCAPE = re.compile(r"''|\\(x[0-9a-f]{2}|u[0-9A-F]{4}|U[0-9A-F]{8}|.)", re.DOTALL)
_SURROGATES = 0xDC00
"""Python's code for a byte outside of a character is this plus the byte (PEP 383)."""
_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


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
    """The date 2001-02-03 and the interval of one day, written as the text was."""


def encoded_row(
    columns: tuple[str, ...], row: str = "", *, binary: bool = True, plain: bool = False
) -> str:
    """Return SQL for a row's values as text, in hex: servers quote values in different ways.

    :param row: the prefix of the columns if the statement has two rows: ``"there."``.
    :param binary: whether the server can convert a value to binary in SQL.
    :param plain: whether the session writes values in a way that can be read; else a value whose
        text depends on the session's settings is there in binary as well, if it can be.
    """
    values = [row + identifier(column) for column in columns]
    encoding = _UTF8 if plain else _ENCODING
    parts = [("UTF8", None) if plain else ("%s", encoding)]
    parts += [(",%L", style) for style in _STYLES]
    if binary and not plain:
        parts.append((",%L", _types_in_binary(values)))
    else:
        parts += [(",'", None), *(("%s ", _type(value)) for value in values), ("'", None)]
    parts += [(f",{literal(column)}".replace("%", "%%"), None) for column in columns]
    parts += [(",%L", value) for value in values]
    text = _format(parts)
    return f"pg_catalog.encode(pg_catalog.convert_to({text}, {encoding}), 'hex')"


def _format(parts: Sequence[tuple[str, str | None]]) -> str:
    """Return SQL that writes values into a text.

    :param parts: each piece of the text, and SQL for the value in it; None if it has none.
    """
    texts: list[str] = []
    for first in range(0, len(parts), _MOST_ARGUMENTS):
        some = parts[first : first + _MOST_ARGUMENTS]
        pattern = literal("".join(piece for piece, _ in some))
        values = [value for _, value in some if value is not None]
        texts.append(f"pg_catalog.format({', '.join([pattern, *values])})")
    return texts[0] if len(texts) == 1 else f"pg_catalog.concat({', '.join(texts)})"


def _types_in_binary(values: Sequence[str]) -> str:
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


def _type(value: str) -> str:
    """Return SQL for a type's OID; coalesce() with NULL replaces a domain by its base type."""
    return f"pg_catalog.pg_typeof(coalesce({value}, NULL))::pg_catalog.regtype::pg_catalog.oid"


def read_row(row: bytes, encoding: str) -> tuple[Cell, ...]:
    """Return the values of an :func:`encoded_row`.

    :param encoding: the client's, for values that the server does not convert.
    """
    is_unconverted = row.startswith(f"{_NONE},".encode())
    text = row.decode(encoding if is_unconverted else "utf-8", "surrogateescape")
    date, interval, kinds, *cells = _fields(text)
    styles = (date or "", interval or "")
    names, texts = cells[: len(cells) // 2], cells[len(cells) // 2 :]
    return tuple(
        Cell(name or "", type_, value, binary, styles)
        for name, value, (type_, binary) in zip(names, texts, _types(kinds or ""), strict=True)
    )


def _types(kinds: str) -> Iterator[tuple[int, bytes | None]]:
    """Yield the OID of each type, and the value in binary if it is there.

    A row in binary is the number of columns, and for each its type, length and value; the length of
    NULL is -1 (PostgreSQL source, ``record_send``).
    """
    if not kinds or kinds.endswith(" "):
        yield from ((int(oid), None) for oid in kinds.split())
        return
    content = bytes.fromhex(kinds)
    place = 4
    while place < len(content):
        type_, length = _HEAD.unpack_from(content, place)
        place += _HEAD.size
        if length < 0:
            yield type_, None
        else:
            yield type_, content[place : place + length]
            place += length


def _fields(text: str) -> list[str | None]:
    """Return the fields after the first, each a literal or NULL, for which None stands.

    PostgreSQL doubles quotes and backslashes (source, ``quote_literal_internal``). CockroachDB puts
    a backslash before both, and escapes all but printable ASCII (source, ``EncodeEscapedChar``).
    """
    return [
        None if match[1] is None else _ESCAPE.sub(_unescaped, match[1])
        for match in _FIELD.finditer(text)
    ]


def _unescaped(match: re.Match[str]) -> str:
    escape = match[1]
    if escape is None:
        return "'"
    if len(escape) == 1:
        return _CONTROLS.get(escape, escape)
    code = int(escape[1:], 16)
    is_byte = escape[0] == "x" and not chr(code).isascii()
    return chr(code + _SURROGATES if is_byte else code)
