# SPDX-License-Identifier: MIT
"""Write the RETURNING of a statement, with whether a row has been inserted."""

from __future__ import annotations

from batchq.engine.compile.numbering import Numbering
from batchq.engine.compile.quoting import identifier
from batchq.language.errors import InvalidBatch
from batchq.language.syntax import CREATED


def returning(n: Numbering, columns: tuple[str, ...], row: str = "") -> str:
    """Return the columns of a RETURNING.

    :param row: the prefix of the changed row's columns, if the statement has two tables.
    :raises InvalidBatch: if the server cannot report whether a row has been inserted.
    """
    if CREATED not in columns:
        return ", ".join([row + identifier(column) for column in columns])
    created = f"{_created(n)} AS {identifier(CREATED)}"
    tests = [created if each == CREATED else row + identifier(each) for each in columns]
    return f"{'WITH (OLD AS _batchq_old) ' if n.abilities.old else ''}{', '.join(tests)}"


def _created(n: Numbering) -> str:
    """Return whether a row has been inserted, and not updated."""
    if n.abilities.old:
        # Not IS NULL, which is true for a row of NULLs.
        return "_batchq_old IS NOT DISTINCT FROM NULL"
    if n.abilities.xmax:
        # DO UPDATE locks a row before it updates it, and the new version has that lock as well.
        return "xmax OPERATOR(pg_catalog.=) 0"
    message = (
        "created(): this server cannot report it, nor what insert_or_advance() has done; use "
        "insert_or_get(), which takes a second step, or .on_conflict_do_update(…).count()"
    )
    raise InvalidBatch(message)
