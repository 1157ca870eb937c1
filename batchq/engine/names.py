# SPDX-License-Identifier: MIT
"""Quoting names. Whatever a user calls a table or column, it is one name in the SQL."""

from __future__ import annotations

from batchq.language.errors import InvalidBatch
from batchq.language.texts import NUL


def identifier(name: str) -> str:
    """Quote an identifier.

    :raises InvalidBatch: for one with a NUL, behind which the server would see nothing.
    """
    if NUL in name:
        message = f"a NUL in the name {name!r:.40}"
        raise InvalidBatch(message)
    return '"' + name.replace('"', '""') + '"'


def quoted(table: str) -> str:
    """Quote a table's name: ``schema.table`` becomes ``"schema"."table"``."""
    return ".".join(identifier(part) for part in table.split("."))


def listed(names: tuple[str, ...]) -> str:
    """Quote several, with commas between."""
    return ", ".join(map(identifier, names))


def literal(text: str) -> str:
    r"""Quote a string that is known when the SQL is made: a column's name, never a value.

    With a backslash in it, it is an escape string: ``'a\b'`` means another text where
    ``standard_conforming_strings`` is off, ``E'a\\b'`` the same on every session.
    """
    plain = "'" + text.replace("'", "''") + "'"
    return "E" + plain.replace("\\", "\\\\") if "\\" in text else plain
