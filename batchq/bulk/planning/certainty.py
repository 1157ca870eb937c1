# SPDX-License-Identifier: MIT
"""Whether it can be said of a row whose child it is, and that none is left."""

from __future__ import annotations

from collections.abc import Iterator

from batchq.bulk.planning.catalog import Catalog
from batchq.bulk.planning.refusals import Reason, Refusal, create_index
from batchq.bulk.tree import Tree


def veiled(catalog: Catalog) -> Iterator[Refusal]:
    """Find tables of which this role does not see every row, that of the jobs among them."""
    for one in catalog.veiled:
        yield Refusal(
            reason=Reason.ROW_SECURITY,
            table=one.table,
            why="row level security is on, and holds for this role",
            remedy="ALTER ROLE … BYPASSRLS;\nor be the table's owner, and row level security "
            "not FORCEd",
        )


def ambiguous(tree: Tree, catalog: Catalog) -> Iterator[Refusal]:
    """Find parents of which several may have one key."""
    below = (children.parent for one in tree.passes for children in one.reach)
    for table, key in dict.fromkeys((one.table, one.key) for one in (tree.parent, *below)):
        if catalog.column(table, key) is None:
            continue
        unique = (
            one.unique and one.valid and one.predicate is None and one.columns == [key]
            for one in catalog.indexes_of(table)
        )
        if not any(unique):
            yield Refusal(
                reason=Reason.KEY_NOT_UNIQUE,
                table=table,
                name=key,
                why="it is the key by which children name their parent, and no unique index says "
                "that one row has it, hidden rows included",
                remedy=create_index(catalog, table, (key,), unique=True),
            )
