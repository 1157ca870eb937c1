# SPDX-License-Identifier: MIT
"""Beginning: a small tree is deleted in one batch; a large one is fenced, and a job is left."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Required, TypedDict
from uuid import UUID

from attrs import frozen

from batchq.bulk.errors import TooMany
from batchq.bulk.tree import Tree
from batchq.language.batch import Batch
from batchq.language.mapping import Meaning
from batchq.language.statement import Statement
from batchq.running.run import arun, run

if TYPE_CHECKING:
    from typing import Unpack

    from psycopg import AsyncConnection, Connection
    from psycopg_pool import AsyncConnectionPool, ConnectionPool


@frozen
class Deleted:
    """The tree is gone."""

    rows: int
    """How many children went with the parent."""


@frozen
class Fenced:
    """The parent is hidden; :func:`~batchq.bulk.resume` does the rest."""

    job: UUID


class Options(TypedDict, total=False):
    """What :func:`start` and :func:`astart` are told: see :meth:`Tree.fence`."""

    gone: Required[Meaning]
    childless: Iterable[Statement[None]]
    generation: object
    stale: Meaning | None


def start(
    database: Connection[Any] | ConnectionPool[Any],
    tree: Tree,
    key: object,
    *,
    job: UUID | None = None,
    **options: Unpack[Options],
) -> Deleted | Fenced:
    """Delete a parent and its children: at once if they are few, else behind a fence.

    One round trip for a small tree, two for a large one. Whatever else has to happen together with
    it is composed with ``tree.at_once(…)`` and ``tree.fence(…)``, which are batches.

    :param key: the parent's.
    :param job: the id of the job, where the caller wants to choose it.
    :param options: as of :meth:`Tree.fence`; ``gone`` has to be said.
    """
    small, large = _both(tree, key, job, options)
    try:
        return Deleted(run(database, small))
    except TooMany:
        return Fenced(run(database, large))


async def astart(
    database: AsyncConnection[Any] | AsyncConnectionPool[Any],
    tree: Tree,
    key: object,
    *,
    job: UUID | None = None,
    **options: Unpack[Options],
) -> Deleted | Fenced:
    """Delete a parent and its children on an async connection or pool; as :func:`start`."""
    small, large = _both(tree, key, job, options)
    try:
        return Deleted(await arun(database, small))
    except TooMany:
        return Fenced(await arun(database, large))


def _both(
    tree: Tree, key: object, job: UUID | None, options: Options
) -> tuple[Batch[int], Batch[UUID]]:
    guards = tuple(options.get("childless", ()))
    told: Options = {**options, "childless": guards}
    return tree.at_once(key, **told), tree.fence(key, job=job, **told)
