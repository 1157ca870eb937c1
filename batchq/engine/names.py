# SPDX-License-Identifier: MIT
"""Quoting names. Whatever a user calls a table or column, it is one name in the SQL."""

from __future__ import annotations

from batchq.language.errors import InvalidBatch
from batchq.language.texts import OWN


def identifier(name: str) -> str:
    """Quote an identifier.

    :raises InvalidBatch: for one that holds what batchq marks places with.
    """
    if OWN.search(name):
        message = f"a NUL or one of U+E000 to U+E003, which batchq uses itself, in {name!r:.40}"
        raise InvalidBatch(message)
    return '"' + name.replace('"', '""') + '"'


def quoted(table: str) -> str:
    """Quote a table's name: ``schema.table`` becomes ``"schema"."table"``."""
    return ".".join(identifier(part) for part in table.split("."))


def listed(names: tuple[str, ...]) -> str:
    """Quote several, with commas between."""
    return ", ".join(map(identifier, names))


def literal(text: str) -> str:
    """Quote a string that is known when the SQL is made: a column's name, never a value."""
    return "'" + text.replace("'", "''") + "'"
