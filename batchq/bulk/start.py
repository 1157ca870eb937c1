# SPDX-License-Identifier: MIT
"""Beginning: a small tree is deleted in one batch; a large one is fenced, and a job is left."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from attrs import frozen

from batchq.bulk.errors import TooMany
from batchq.bulk.tree import Tree
from batchq.language.mapping import Meaning
from batchq.language.statement import Statement
from batchq.running.run import run

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg_pool import ConnectionPool


@frozen
class Deleted:
    """The tree is gone."""

    rows: int
    """How many children went with the parent."""


@frozen
class Fenced:
    """The parent is hidden; :func:`~batchq.bulk.resume` does the rest."""

    job: UUID


def start(
    database: Connection[Any] | ConnectionPool[Any],
    tree: Tree,
    key: object,
    *,
    gone: Meaning,
    childless: Iterable[Statement[None]] = (),
    generation: object = None,
    stale: Meaning | None = None,
) -> Deleted | Fenced:
    """Delete a parent and its children: at once if they are few, else behind a fence.

    One round trip for a small tree, two for a large one. Whatever else has to happen together with
    it is composed with ``tree.at_once(…)`` and ``tree.fence(…)``, which are batches.

    The arguments are those of :meth:`Tree.fence`.
    """
    guards = tuple(childless)
    small = tree.at_once(key, gone=gone, childless=guards, generation=generation, stale=stale)
    try:
        return Deleted(run(database, small))
    except TooMany:
        large = tree.fence(key, gone=gone, childless=guards, generation=generation, stale=stale)
        return Fenced(run(database, large))
