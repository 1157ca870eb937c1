# SPDX-License-Identifier: MIT
"""Beginning: a small tree is deleted in one batch; a large one is fenced, and a job is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Required, TypedDict, TypeVar
from uuid import UUID

from attrs import frozen

from batchq.bulk.errors import TooManyRows
from batchq.bulk.tree import DeleteTree
from batchq.bulk.worker.resume import READ_COMMITTED
from batchq.language.batch import Batch
from batchq.language.compose import gather
from batchq.language.mapping import Raises
from batchq.running.request import check_options
from batchq.running.run import arun, run

if TYPE_CHECKING:
    from typing import Unpack

    from psycopg import AsyncConnection, Connection
    from psycopg_pool import AsyncConnectionPool, ConnectionPool


T = TypeVar("T")


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
    """What :func:`start` and :func:`astart` are told: see :meth:`DeleteTree.fence`."""

    missing: Required[Raises]
    generation: object
    stale: Raises | None


_KNOWN = frozenset({*Options.__annotations__, "also", "job"})
_REQUIRED = frozenset({"missing"})


def start(
    database: Connection[Any] | ConnectionPool[Any],
    tree: DeleteTree,
    key: object,
    *,
    also: Batch[Any] | None = None,
    job: UUID | None = None,
    **options: Unpack[Options],
) -> Deleted | Fenced:
    """Delete a parent and its children: at once if they are few, else behind a fence.

    One round trip for a small tree, two for a large one; at READ COMMITTED, whatever the session's
    default is, so that the looks behind the parent's lock see what was committed before it.

    :param key: the parent's.
    :param also: what has to happen together with it, when the parent is gone for everybody: an
        audit row, a release of limits.
    :param job: the id of the job, where the caller wants to choose it.
    :param options: as of :meth:`DeleteTree.fence`; ``missing`` has to be said.
    :raises TypeError: for an option that there is not, and without ``missing``.
    """
    check_options("start()", options, _KNOWN, _REQUIRED)
    small, large = _both(tree, key, also, job, options)
    try:
        return Deleted(run(database, small, isolation=READ_COMMITTED))
    except TooManyRows:
        return Fenced(run(database, large, isolation=READ_COMMITTED))


async def astart(
    database: AsyncConnection[Any] | AsyncConnectionPool[Any],
    tree: DeleteTree,
    key: object,
    *,
    also: Batch[Any] | None = None,
    job: UUID | None = None,
    **options: Unpack[Options],
) -> Deleted | Fenced:
    """Delete a parent and its children on an async connection or pool; as :func:`start`."""
    check_options("astart()", options, _KNOWN, _REQUIRED)
    small, large = _both(tree, key, also, job, options)
    try:
        return Deleted(await arun(database, small, isolation=READ_COMMITTED))
    except TooManyRows:
        return Fenced(await arun(database, large, isolation=READ_COMMITTED))


def _both(
    tree: DeleteTree, key: object, also: Batch[Any] | None, job: UUID | None, options: Options
) -> tuple[Batch[int], Batch[UUID]]:
    small, large = tree.delete_now(key, **options), tree.fence(key, job=job, **options)
    return (small, large) if also is None else (_with(small, also), _with(large, also))


def _with(batch: Batch[T], also: Batch[Any]) -> Batch[T]:
    return gather(batch, also).map(_first)


def _first(results: tuple[T, Any]) -> T:
    return results[0]
