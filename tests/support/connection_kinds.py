# SPDX-License-Identifier: MIT
"""The four ways to resume jobs: a connection and a pool, sync and async."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from batchq.bulk import Report, aresume, resume

ONE: Any = {"min_size": 1, "max_size": 1, "open": False}
KINDS = {
    psycopg.Connection: "connection",
    ConnectionPool: "pool",
    psycopg.AsyncConnection: "async connection",
    AsyncConnectionPool: "async pool",
}
ASYNC = [psycopg.AsyncConnection, AsyncConnectionPool]
of_each_kind = pytest.mark.parametrize("kind", KINDS, ids=list(KINDS.values()))
of_each_async_kind = pytest.mark.parametrize("kind", ASYNC, ids=["connection", "pool"])


@asynccontextmanager
async def opened(kind: Any, conninfo: str) -> AsyncIterator[Any]:
    """Open a database of this kind; its sessions are called ``worker``."""
    conninfo = f"{conninfo} application_name=worker"
    if kind is psycopg.Connection:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            yield connection
    elif kind is ConnectionPool:
        with ConnectionPool(conninfo, **ONE) as pool:
            yield pool
    elif kind is psycopg.AsyncConnection:
        async with await kind.connect(conninfo, autocommit=True) as connection:
            yield connection
    else:
        async with AsyncConnectionPool(conninfo, **ONE) as pool:
            yield pool


async def going_on(kind: Any, database: Any, estate: Any, **options: Any) -> Report:
    options = {"owner": "test", "chunk_size": estate.size, **options}
    if kind in ASYNC:
        return await aresume(database, [estate.tree], **options)
    return resume(database, [estate.tree], **options)
