# SPDX-License-Identifier: MIT
"""Quote names and literals, and derive names.

Whatever a user names a table or column, it is one name in the SQL and cannot become anything else.
"""

from __future__ import annotations

from hashlib import blake2b, sha256

from batchq.language.errors import InvalidBatch
from batchq.language.placeholders import NUL
from batchq.language.quoted_names import quoted_name

LONGEST = 63
"""The most bytes of a name: the server truncates a longer one (PostgreSQL documentation,
"Identifiers and Key Words")."""


def identifier(name: str) -> str:
    """Quote an identifier.

    :raises InvalidBatch: for a name with a NUL, after which the server would read nothing.
    """
    if NUL in name:
        message = f"the name {name!r:.40} has a NUL character; remove it"
        raise InvalidBatch(message)
    return quoted_name(name)


def quoted(table: str) -> str:
    """Quote a table's name: ``schema.table`` becomes ``"schema"."table"``."""
    return ".".join(identifier(part) for part in table.split("."))


def listed(names: tuple[str, ...], *, suffix: str = "") -> str:
    """Quote several identifiers, separated by commas.

    :param suffix: SQL to write after each: ``" DESC"``, ``"::text"``.
    """
    return ", ".join(identifier(name) + suffix for name in names)


def literal(text: str) -> str:
    r"""Quote a string that is known when the SQL is written: a column's name, never a value.

    A string with a backslash becomes an escape string: ``'a\b'`` means another text if
    ``standard_conforming_strings`` is off, ``E'a\\b'`` means the same on every session.
    """
    plain = "'" + text.replace("'", "''") + "'"
    return "E" + plain.replace("\\", "\\\\") if "\\" in text else plain


def unqualified(table: str) -> str:
    """Return the name of a table without its schema."""
    return table.rpartition(".")[2]


def derived(table: str, suffix: str) -> str:
    """Return the name of a constraint or an index: the table without its schema, and a suffix.

    The server would truncate a name that is too long. Two constraints of one table could then have
    one name, and an error would not have the declared name. So a long name is truncated here, with
    a digest that keeps it distinct.

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


def check_table(name: object, caller: str) -> None:
    """Reject an object that cannot be the name of a table which batchq creates.

    :param caller: the Python call to name in the error, ``Jobs``.
    :raises InvalidBatch: for an object that is not a name, or a name that is too long.
    """
    if not isinstance(name, str) or not all(name.split(".")) or NUL in name:
        message = f"{caller}(): not a table's name: {name!r:.40}; pass a non-empty str"
        raise InvalidBatch(message)
    for part in name.split("."):
        if len(part.encode("utf-8", "surrogatepass")) > LONGEST:
            message = f"{caller}(): {part!r} is too long; use a name of at most {LONGEST} bytes"
            raise InvalidBatch(message)


def name_of(content: str) -> bytes:
    """Return a name that is a digest of a content, well within the bytes that servers compare."""
    return b"batchq_" + blake2b(content.encode(), digest_size=16).hexdigest().encode()
