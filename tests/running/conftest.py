# SPDX-License-Identifier: MIT
"""Everything that a batch can be run on, driven alike."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

import batchq
from batchq.result import Failed, Ok, aattempt, arun_many, attempt, run_many
from tests.support.clients import ITEMS, AsyncClient, Client, SyncClient


class PoolClient(Client):
    checks = staticmethod(ConnectionPool.check_connection)

    def __init__(self, conninfo: str, *, check: Any = None, **settings: Any) -> None:
        kwargs = {"autocommit": True, **settings}
        self.pool = ConnectionPool(
            conninfo, min_size=1, max_size=1, open=True, kwargs=kwargs, check=check
        )

    def wait_for(self, value: Any) -> Any:
        """Return the result of a method of the pool."""
        return value

    def attempt(self, batch: batchq.Batch[Any], **options: Any) -> Ok[Any] | Failed:
        return attempt(self.pool, batch, **options)

    def run_many(self, batches: Iterable[batchq.Batch[Any]], **options: Any) -> list[Any]:
        return run_many(self.pool, batches, **options)

    def disconnect(self) -> None:
        self.pool.close()


class AsyncPoolClient(Client):
    checks = staticmethod(AsyncConnectionPool.check_connection)

    def __init__(self, conninfo: str, *, check: Any = None, **settings: Any) -> None:
        kwargs = {"autocommit": True, **settings}
        self.loop = asyncio.Runner()
        self.loop.run(self._open(conninfo, kwargs, check))

    def wait_for(self, value: Any) -> Any:
        return self.loop.run(value)

    async def _open(self, conninfo: str, kwargs: dict[str, Any], check: Any) -> None:
        self.pool = AsyncConnectionPool(
            conninfo, min_size=1, max_size=1, open=False, kwargs=kwargs, check=check
        )
        await self.pool.open()

    def attempt(self, batch: batchq.Batch[Any], **options: Any) -> Ok[Any] | Failed:
        return self.loop.run(aattempt(self.pool, batch, **options))

    def run_many(self, batches: Iterable[batchq.Batch[Any]], **options: Any) -> list[Any]:
        return self.loop.run(arun_many(self.pool, batches, **options))

    def disconnect(self) -> None:
        self.loop.run(self.pool.close())

    def close(self) -> None:
        super().close()
        self.loop.close()


CONNECTIONS = [SyncClient, AsyncClient]
POOLS = [PoolClient, AsyncPoolClient]


@pytest.fixture
def items(conn: psycopg.Connection[Any]) -> None:
    conn.execute(ITEMS)


@pytest.fixture(params=[*CONNECTIONS, *POOLS], ids=lambda kind: kind.__name__)
def client(request: pytest.FixtureRequest, database: str, items: None) -> Client:
    """Open a connection or a pool of one, sync or async."""
    with request.param(database) as client:
        yield client


@pytest.fixture(params=CONNECTIONS, ids=lambda kind: kind.__name__)
def connection(request: pytest.FixtureRequest, database: str, items: None) -> Client:
    """Open a connection, sync or async."""
    with request.param(database) as client:
        yield client


@pytest.fixture(params=POOLS, ids=lambda kind: kind.__name__)
def pool(request: pytest.FixtureRequest, database: str, items: None) -> Client:
    """Open a pool of one, sync or async."""
    with request.param(database) as client:
        yield client


@pytest.fixture(params=[True, False], ids=["autocommit", "no autocommit"])
def autocommit(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture(params=[*CONNECTIONS, *POOLS], ids=lambda kind: kind.__name__)
def target(request: pytest.FixtureRequest, database: str, items: None, autocommit: bool) -> Client:
    """Open a connection or a pool of one, sync or async, in autocommit or not."""
    with request.param(database, autocommit=autocommit) as client:
        yield client
