# SPDX-License-Identifier: MIT
"""Quoting names. Whatever a user calls a table or column, it is one name in the SQL."""

from __future__ import annotations

from hashlib import blake2b, sha256

from batchq.language.errors import InvalidBatch
from batchq.language.placeholders import NUL

LONGEST = 63
"""Bytes of a name: the server cuts longer ones (PostgreSQL documentation, "Identifiers and Key
Words")."""


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


def unqualified(table: str) -> str:
    """The name of a table without its schema."""
    return table.rpartition(".")[2]


def derived(table: str, suffix: str) -> str:
    """Name a constraint or an index after its table, which has no schema.

    The server would cut a name that is too long: two of one table would be one, and no error would
    ever name what was declared. So a long one is cut here, with a digest that tells it apart.

    >>> derived("net.rule", "pkey")
    'rule_pkey'
    >>> len(derived("r" * 63, "pkey"))
    63
    """
    base = unqualified(table)
    if len(f"{base}_{suffix}".encode()) <= LONGEST:
        return f"{base}_{suffix}"
    end = f"_{sha256(base.encode()).hexdigest()[:8]}_{suffix}"
    return base.encode()[: LONGEST - len(end)].decode(errors="ignore") + end


def check_table(name: object, whose: str) -> None:
    """Refuse what cannot be the name of a table that is made here.

    :param whose: how it is said in Python, ``Jobs``.
    :raises InvalidBatch: for what is no name, and for one that the server would cut.
    """
    if not isinstance(name, str) or not all(name.split(".")) or NUL in name:
        message = f"{whose}(): a table has a name, a str: not {name!r:.40}"
        raise InvalidBatch(message)
    for part in name.split("."):
        if len(part.encode("utf-8", "surrogatepass")) > LONGEST:
            message = f"{whose}(): {part!r} is too long: the server cuts a name at {LONGEST} bytes"
            raise InvalidBatch(message)


def name_of(content: str) -> bytes:
    """Return a name that is a digest of what it names, well within the bytes servers compare."""
    return b"batchq_" + blake2b(content.encode(), digest_size=16).hexdigest().encode()
