# SPDX-License-Identifier: MIT
"""Report that an upsert leaves the existing row as it is.

Such a row is not returned, and neither is one whose write a trigger suppresses. But only the first
one gets to the condition of DO UPDATE and does not meet it. So the condition notes that in a
setting of the transaction, and the guard on the number of rows reads and resets it.
"""

from __future__ import annotations

from batchq.language.syntax import Insert, Source

_LEFT = "'batchq.left'"


def updated_if(condition: str) -> str:
    """Return SQL for the condition of DO UPDATE, which notes a row that does not meet it."""
    noted = f"pg_catalog.set_config({_LEFT}, 'left', true) IS NULL"
    return f"CASE WHEN {condition} THEN true ELSE {noted} END"


WAS_LEFT = (
    f"CASE WHEN pg_catalog.current_setting({_LEFT}, true) OPERATOR(pg_catalog.=) 'left' "
    f"THEN pg_catalog.set_config({_LEFT}, '', true) IS NOT NULL ELSE false END"
)
"""SQL for whether the statement has left its row; asked once, after it has run."""


def notes_left(source: Source) -> bool:
    """Return whether a statement is an upsert that notes the row that it leaves."""
    return isinstance(source, Insert) and source.conflict is not None and source.conflict.notes_left
