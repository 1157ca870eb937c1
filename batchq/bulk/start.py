# SPDX-License-Identifier: MIT
"""Start the delete of a tree: in one batch if it is small, otherwise by a fence and a job."""

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
from batchq.language.spelling import with_article
from batchq.running.request import check_options
from batchq.running.run import arun, run
from batchq.running.target import check_target

if TYPE_CHECKING:
    from typing import Unpack

    from psycopg import AsyncConnection, Connection
    from psycopg_pool import AsyncConnectionPool, ConnectionPool


T = TypeVar("T")


@frozen
class Deleted:
    """The parent and all its children are deleted."""

    rows: int
    """How many children were deleted with the parent."""


@frozen
class Fenced:
    """The parent is hidden; :func:`~batchq.bulk.resume` deletes it and its children."""

    job: UUID


class StartOptions(TypedDict, total=False):
    """Options of :func:`start` and :func:`astart`; see :meth:`DeleteTree.fence`."""

    missing: Required[Raises]
    generation: object
    stale: Raises | None


_KNOWN = frozenset({*StartOptions.__annotations__, "also", "job"})
_REQUIRED = frozenset({"missing"})


def start(
    database: Connection[Any] | ConnectionPool[Any],
    tree: DeleteTree,
    key: object,
    *,
    also: Batch[Any] | None = None,
    job: UUID | None = None,
    **options: Unpack[StartOptions],
) -> Deleted | Fenced:
    """Delete a parent and its children now if there are few, otherwise fence it.

    It takes one round trip for a small tree and two for a large one. Both run at READ COMMITTED,
    whatever the session's default is, so that the checks after the parent's lock see everything
    that was committed before it.

    :param key: the parent's key.
    :param also: a batch to run in the same transaction, such as an audit row or the release of
        limits.
    :param job: the id of the job, to be chosen by the caller.
    :param options: as for :meth:`DeleteTree.fence`; ``missing`` is required.
    :raises NoJobTable: if a fence is needed and the job table does not exist.
    :raises TypeError: for an unknown option, without ``missing``, or if ``database`` or ``tree``
        is of another type.
    :raises InvalidBatch: if another argument is.
    """
    check_options("start()", options, _KNOWN, _REQUIRED)
    _check_tree("start()", tree)
    small, large = _batches(tree, key, also, job, options)
    check_target("start()", database, sync=True)
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
    **options: Unpack[StartOptions],
) -> Deleted | Fenced:
    """Start a delete on an async connection or pool; as :func:`start`."""
    check_options("astart()", options, _KNOWN, _REQUIRED)
    _check_tree("astart()", tree)
    small, large = _batches(tree, key, also, job, options)
    check_target("astart()", database, sync=False)
    try:
        return Deleted(await arun(database, small, isolation=READ_COMMITTED))
    except TooManyRows:
        return Fenced(await arun(database, large, isolation=READ_COMMITTED))


def _check_tree(call: str, tree: object) -> None:
    if not isinstance(tree, DeleteTree):
        run_ = "await arun" if call == "astart()" else "run"
        raise TypeError(
            f"{call} takes a DeleteTree, not {with_article(type(tree), unlike=(DeleteTree,))}; a "
            f"Backfill or DeleteRows is started by {run_}(database, task.start())"
        )


def _batches(
    tree: DeleteTree, key: object, also: Batch[Any] | None, job: UUID | None, options: StartOptions
) -> tuple[Batch[int], Batch[UUID]]:
    small, large = tree.delete_now(key, **options), tree.fence(key, job=job, **options)
    return (small, large) if also is None else (_with(small, also), _with(large, also))


def _with(batch: Batch[T], also: Batch[Any]) -> Batch[T]:
    return gather(batch, also).map(_first)


def _first(results: tuple[T, Any]) -> T:
    return results[0]
