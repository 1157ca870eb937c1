# SPDX-License-Identifier: MIT
"""The ways to send a workload's commands, each as its own documentation would write it.

A peer connects to a sandbox and returns a driver: a function that makes one call for each of the
inputs that it is given, and returns their results. A peer that has a loop enters it once for all of
them, as a service enters its loop once.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from functools import partial
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from benchmarks.workloads import Workload

Connection = psycopg.Connection[Any]
AsyncConnection = psycopg.AsyncConnection[Any]
Driver = Callable[[Sequence[Any]], list[object]]
AsyncCall = Callable[[Any], Awaitable[object]]


class Peer(ABC):
    """A way to do a workload."""

    name: str = ""

    def __init__(self, workload: Workload, name: str = "") -> None:
        """Take another name than usual if the same peer does different work in one case."""
        self.workload = workload
        self.name = name or self.name

    @abstractmethod
    def open(self, conninfo: str, /) -> AbstractContextManager[Driver]:
        """Connect, and create what is created once."""

    def driver(self, call: Callable[[Any], object]) -> Driver:
        """Make one call after the other."""

        def one(given: Any) -> object:
            try:
                result = call(given)
            except Exception as error:  # noqa: BLE001  compared with the failure that is expected
                result = error
            return self.checked(result, given)

        return lambda inputs: [one(given) for given in inputs]

    def checked(self, result: object, given: Any) -> object:
        """Return the result, or the name of the service's error; reject any but the expected one.

        Of a violated constraint the service makes an error of its own.
        """
        error = result if isinstance(result, Exception) else None
        make = self.workload.errors.get(_violated(error) or "")
        found = error if make is None else make(given)
        name = None if found is None else type(found).__name__
        if name != self.workload.failure:
            message = f"{self.name}: {found or 'no failure'!r}, and not {self.workload.failure}"
            raise AssertionError(message) from error
        return result if name is None else name


class AsyncPeer(Peer):
    """A peer that can also be used by many tasks, on a pool."""

    @abstractmethod
    def pool(self, conninfo: str, size: int, /) -> AbstractAsyncContextManager[AsyncCall]:
        """Open a pool of so many connections, and return a function that makes a call on it."""

    @contextmanager
    def driven(
        self, opening: AbstractAsyncContextManager[AsyncCall], *, tasks: int
    ) -> Iterator[Driver]:
        """Enter a loop once for all inputs of a turn, and share them among so many tasks."""

        async def work(inputs: Sequence[Any]) -> list[object]:
            return [await one(given) for given in inputs]

        async def one(given: Any) -> object:
            try:
                result = await call(given)
            except Exception as error:  # noqa: BLE001  compared with the failure that is expected
                result = error
            return self.checked(result, given)

        async def drive(inputs: Sequence[Any]) -> list[object]:
            shares = await asyncio.gather(*(work(inputs[n::tasks]) for n in range(tasks)))
            return [result for share in shares for result in share]

        stack = AsyncExitStack()
        with asyncio.Runner() as runner:
            call = runner.run(stack.enter_async_context(opening))
            try:
                yield lambda inputs: runner.run(drive(inputs))
            finally:
                runner.run(stack.aclose())


class InTasks(Peer):
    """A peer on a pool of few connections, which so many tasks share, as in a service."""

    CONNECTIONS = 4

    def __init__(self, peer: AsyncPeer, tasks: int) -> None:
        super().__init__(peer.workload, peer.name)
        self._peer = peer
        self._tasks = tasks

    def open(self, conninfo: str) -> AbstractContextManager[Driver]:
        """Open the pool."""
        return self._peer.driven(self._peer.pool(conninfo, self.CONNECTIONS), tasks=self._tasks)


class OnPsycopg(AsyncPeer):
    """A peer on a psycopg connection with the defaults of psycopg, in autocommit: a statement is
    prepared after five executions, and the peer itself says where a transaction begins."""

    @abstractmethod
    def call(self, conn: Connection, given: Any, /) -> object:
        """Do the work for one input."""

    async def acall(self, conn: AsyncConnection, given: Any, /) -> object:
        """Do the work for one input on an async connection."""
        raise NotImplementedError(f"{self.name} is not measured in tasks")

    async def pooled(self, pool: AsyncConnectionPool[AsyncConnection], given: Any) -> object:
        """Do the work for one input on a connection of the pool."""
        async with pool.connection() as conn:
            return await self.acall(conn, given)

    @contextmanager
    def open(self, conninfo: str) -> Iterator[Driver]:
        """Connect."""
        with psycopg.connect(conninfo, autocommit=True) as conn:
            yield self.driver(partial(self.call, conn))

    @asynccontextmanager
    async def pool(self, conninfo: str, size: int) -> AsyncIterator[AsyncCall]:
        """Open psycopg's pool."""
        async with AsyncConnectionPool[AsyncConnection](
            conninfo, kwargs={"autocommit": True}, min_size=size, max_size=size, open=False
        ) as pool:
            await pool.wait()
            yield partial(self.pooled, pool)


def _violated(error: Exception | None) -> str | None:
    """Return the name of the violated constraint: each library has it at another place."""
    error = getattr(error, "orig", error)  # SQLAlchemy's is around psycopg's
    return getattr(getattr(error, "diag", error), "constraint_name", None)
