# SPDX-License-Identifier: MIT
"""Find foreign keys onto the rows that a :class:`DeleteRows` deletes.

There is no tree that the rows that refer could be a part of. Whether any refers is only known when
a chunk deletes the row: so most of these are warnings.
"""

from __future__ import annotations

from collections.abc import Iterator

from batchq.bulk.delete_rows import DeleteRows
from batchq.bulk.preflight.catalog import Catalog
from batchq.bulk.preflight.findings import Finding, FindingCode
from batchq.bulk.preflight.foreign_keys import ACTIONS, drop, unindexed


def find_unindexed_references(task: DeleteRows, catalog: Catalog) -> Iterator[Finding]:
    """Find foreign keys for which each deleted row costs a scan of the table that refers."""
    for key in catalog.references:
        if key.onto == task.table and not key.indexed:
            yield unindexed(key, catalog)


def find_references(task: DeleteRows, catalog: Catalog) -> Iterator[Finding]:
    """Find foreign keys that make a chunk change other rows, or that may reject it."""
    first = "delete the rows that refer first, by a DeleteRows(table={!r}, …) of their own;\nor {}"
    for key in catalog.references:
        if key.onto != task.table:
            continue
        action = ACTIONS.get(key.action)
        detail = f"it refers to {key.onto!r}, and a row that is referred to rejects its chunk"
        if action is not None:
            detail = (
                f"it refers to {key.onto!r} {action}: a chunk changes all rows that refer as well"
            )
        yield Finding(
            code=FindingCode.MAY_REFER if action is None else FindingCode.CASCADE,
            table=key.table,
            name=key.name,
            detail=detail,
            remedy=first.format(key.table, drop(key)),
        )
