# SPDX-License-Identifier: MIT
"""Check what a call runs on: a connection of psycopg, or a pool of them."""

from __future__ import annotations

from inspect import iscoroutinefunction

from psycopg import AsyncConnection, Connection

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
