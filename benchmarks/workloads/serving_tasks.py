# SPDX-License-Identifier: MIT
"""Many tasks of one loop that create projects on the connections of a pool."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, LiteralString, TypeVar, cast
from uuid import uuid4

import asyncpg  # type: ignore[import-untyped]
import psycopg
from attrs import define
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

from batchq import arun
from benchmarks.measure import Side
from benchmarks.peers.asyncpg import Asyncpg
from benchmarks.peers.bare import Bare, BarePipeline, Values, values
from benchmarks.peers.batchq import Batchq
from benchmarks.peers.statements import (
    BLOCK,
    LIMIT,
    PROJECT,
    ROUTER,
    RULE,
    SILO,
    SUBNET,
    VPC,
    meaning,
    rules,
)
from benchmarks.peers.transaction import Transaction
from benchmarks.scene import Scene
from benchmarks.ways import Way, Workload, for_asyncpg
from benchmarks.workloads.serving import CONNECTIONS, TASKS, Conn, prepared, projects
from examples.datastore import models
from examples.datastore.models import NewProject
from examples.datastore.project import project_create

T = TypeVar("T")

AsyncConn = psycopg.AsyncConnection[Any]
AsyncCreate = Callable[[NewProject], Awaitable[object]]


def serving_tasks(workers: int) -> Workload[NewProject]:
    """So many tasks of one loop that share the connections of a pool."""
    ways = {name: _tasks(workers, opened) for name, opened in _IN_TASKS.items()}
    return Workload(TASKS, ways, projects)


def _tasks(
    workers: int, opened: Callable[[Scene], AbstractAsyncContextManager[AsyncCreate]]
) -> Way[NewProject]:
    """Share the calls of a turn among so many tasks.

    :param opened: opens a pool, and hands out what creates with it.
    """

    @contextmanager
    def way(place: Scene, given: Sequence[NewProject]) -> Iterator[Side]:
        manager = opened(place)

        async def work(create: AsyncCreate, numbers: range) -> None:
            for number in numbers:
                await create(given[number])

        async def turn(create: AsyncCreate, numbers: range) -> None:
            async with asyncio.TaskGroup() as tasks:
                for worker in range(workers):
                    tasks.create_task(work(create, numbers[worker::workers]))

        with asyncio.Runner() as runner:
            create = runner.run(manager.__aenter__())
            try:
                yield lambda numbers: runner.run(turn(create, numbers))
            finally:
                runner.run(manager.__aexit__(None, None, None))

    return way


@asynccontextmanager
async def _pool(
    place: Scene, configure: Callable[[AsyncConn], Awaitable[None]] | None = None
) -> AsyncIterator[AsyncConnectionPool[AsyncConn]]:
    async with AsyncConnectionPool(
        place.conninfo,
        kwargs={"autocommit": True},
        min_size=CONNECTIONS,
        max_size=CONNECTIONS,
        configure=configure,
        open=False,
    ) as pool:
        await pool.wait()
        yield pool


@asynccontextmanager
async def _abatchq(place: Scene) -> AsyncIterator[AsyncCreate]:
    async with _pool(place) as pool:
        yield lambda new: arun(pool, project_create(new))


@define(eq=False)
class AsyncBarePipeline(BarePipeline):
    """The bare pipeline on an async connection: what it needs of one is the same on both, but for
    who waits."""

    async def arun(self, own: Values) -> list[list[tuple[Any, ...]]]:
        """Run the statements with these values; return the rows of each."""
        transformer = psycopg.adapt.Transformer(self.conn)
        flight = self._flight(self.encode(own, transformer))
        return self.decode(await cast("AsyncConn", self.conn).wait(flight), transformer)


@asynccontextmanager
async def _abare(place: Scene) -> AsyncIterator[AsyncCreate]:
    pipelines: dict[AsyncConn, AsyncBarePipeline] = {}

    async def configure(conn: AsyncConn) -> None:
        pipelines[conn] = prepared(AsyncBarePipeline, cast("Conn", conn), place)

    async with _pool(place, configure) as pool:

        async def create(new: NewProject) -> object:
            async with pool.connection() as conn:
                return await pipelines[conn].arun(values(new, uuid4()))

        yield create


@asynccontextmanager
async def _atransaction(place: Scene) -> AsyncIterator[AsyncCreate]:
    async with _pool(place) as pool:

        async def create(new: NewProject) -> object:
            async with pool.connection() as conn, conn.transaction():
                return await _created(conn, new)

        yield create


async def _created(conn: AsyncConn, new: NewProject) -> list[object]:
    """As peers/transaction.py, with the waiting spelt out."""

    async def one(model: type[T], text: LiteralString, own: Sequence[object]) -> T:
        async with conn.cursor(row_factory=class_row(model)) as cursor:
            row = await (await cursor.execute(text, own)).fetchone()
        if row is None:
            raise LookupError("there is no row")
        return row

    if (await conn.execute(SILO, (new.silo_id,))).rowcount != 1:
        raise meaning(None, new)
    vpc_id, router_id = uuid4(), uuid4()
    made: list[object] = [
        await one(models.Project, PROJECT, (new.id, new.silo_id, new.name, new.description)),
        await one(models.Vpc, VPC, (vpc_id, new.id, router_id, "default")),
        await one(models.Router, ROUTER, (router_id, vpc_id, "system", "system")),
        await one(models.Subnet, SUBNET, (uuid4(), vpc_id, "default", BLOCK)),
        *[await one(models.FirewallRule, RULE, rule) for rule in rules(vpc_id)],
    ]
    if (await conn.execute(LIMIT, (new.silo_id,))).rowcount != 1:
        raise LookupError("the silo has no limits")
    return made


@asynccontextmanager
async def _asyncpg(place: Scene) -> AsyncIterator[AsyncCreate]:
    runner = asyncio.Runner()  # of no use here: the loop is running already
    async with asyncpg.create_pool(
        min_size=CONNECTIONS, max_size=CONNECTIONS, **for_asyncpg(place.conninfo)
    ) as pool:

        async def create(new: NewProject) -> object:
            async with pool.acquire() as conn:
                return await Asyncpg(place, runner, conn).create(new, uuid4())

        yield create


_IN_TASKS: Mapping[str, Callable[[Scene], AbstractAsyncContextManager[AsyncCreate]]] = {
    Batchq.name: _abatchq,
    Bare.name: _abare,
    Transaction.name: _atransaction,
    Asyncpg.name: _asyncpg,
}
