# SPDX-License-Identifier: MIT
"""Check what a call runs on: a connection of psycopg, or a pool of them."""

from __future__ import annotations

from inspect import iscoroutinefunction

from psycopg import AsyncConnection, Connection
from psycopg.pq import ConnStatus, PipelineStatus, TransactionStatus

from batchq.language.errors import InvalidBatch
from batchq.language.spelling import with_article

_POOL_METHODS = ("connection", "getconn", "putconn")


def check_target(call: str, target: object, *, sync: bool, has_other: bool = True) -> None:
    """Reject what is neither a connection nor a pool, before anything else is done.

    psycopg_pool is an extra, so a pool is recognized by its methods.

    :param call: the call that it was passed to, for the text of the error: ``"run()"``.
    :param has_other: whether the call has an async variant, or a sync one, named with an ``a``.
    :raises TypeError: for another object, and for an async one if the call is sync.
    """
    right, other = (Connection, AsyncConnection) if sync else (AsyncConnection, Connection)
    if isinstance(target, right):
        return
    kind: type[object] = type(target)
    is_pool = all(callable(getattr(target, method, None)) for method in _POOL_METHODS)
    if is_pool and iscoroutinefunction(getattr(target, "getconn", None)) is not sync:
        return
    hint = ""
    if has_other and (is_pool or isinstance(target, other)):
        hint = f"; use await a{call}" if sync else f"; use {call.removeprefix('a')}"
    given = with_article(kind, unlike=(right,))
    raise TypeError(f"{call} takes a psycopg {right.__name__} or a pool, not {given}{hint}")


def check_idle(call: str, target: object) -> None:
    """Reject a connection that is in use, before a call that has transactions of its own.

    :param call: as in :func:`check_target`.
    :raises InvalidBatch: for a connection in a transaction, or in pipeline mode.
    """
    if not isinstance(target, Connection | AsyncConnection):
        return
    pg = target.pgconn
    if pg.status != ConnStatus.OK:
        return  # it is closed, which is a failure of the call
    if pg.pipeline_status != PipelineStatus.OFF:
        raise InvalidBatch(
            f"{call}: the connection is in pipeline mode; leave `with conn.pipeline()` first"
        )
    if pg.transaction_status != TransactionStatus.IDLE:
        status = TransactionStatus(pg.transaction_status).name
        raise InvalidBatch(
            f"{call}: the connection is {status}, not IDLE; commit or roll back first, because it "
            f"has transactions of its own"
        )
