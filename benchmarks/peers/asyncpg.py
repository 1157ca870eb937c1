# SPDX-License-Identifier: MIT
"""asyncpg, under its own loop: it has no pipeline, so each statement waits for its answer.

https://magicstack.github.io/asyncpg/current/usage.html: "Transactions". It prepares statements by
itself, and returns its own records: it has no way to make models of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from typing import Any

import asyncpg  # type: ignore[import-untyped]
from psycopg.conninfo import conninfo_to_dict

from benchmarks.peers import AsyncCall, AsyncPeer, Driver
from benchmarks.workloads import Rows


class Asyncpg(AsyncPeer):
    """Wait for the answer to each statement."""

    name = "asyncpg transaction()"

    def open(self, conninfo: str) -> AbstractContextManager[Driver]:
        """Connect, and enter the loop once for all inputs of a turn."""
        return self.driven(self._connected(conninfo), tasks=1)

    @asynccontextmanager
    async def _connected(self, conninfo: str) -> AsyncIterator[AsyncCall]:
        conn = await asyncpg.connect(**_options(conninfo))
        try:
            yield partial(self._call, conn)
        finally:
            await conn.close()

    @asynccontextmanager
    async def pool(self, conninfo: str, size: int) -> AsyncIterator[AsyncCall]:
        """Open asyncpg's pool."""
        options = {**_options(conninfo), "min_size": size, "max_size": size}
        async with asyncpg.create_pool(**options) as pool:
            yield partial(self._pooled, pool)

    async def _pooled(self, pool: Any, given: Any) -> object:
        async with pool.acquire() as conn:
            return await self._call(conn, given)

    async def _call(self, conn: Any, given: Any) -> object:
        """Send each command in a transaction block, and check its answer before the next one."""
        results: list[Rows] = []
        commands = zip(self.workload.commands, self.workload.values(given), strict=True)
        async with conn.transaction():
            for command, values in commands:
                if command.model:
                    results.append(await conn.fetch(command.sql, *values))
                    count = len(results[-1])
                else:
                    results.append(())
                    count = int((await conn.execute(command.sql, *values)).rpartition(" ")[2])
                command.check(count, given)
        return results


def _options(conninfo: str) -> dict[str, Any]:
    """Return what asyncpg calls the parameters of a libpq string, which it does not read."""
    place = conninfo_to_dict(conninfo)
    return {
        "host": place["host"],
        "port": place.get("port"),
        "user": place.get("user"),
        "password": place.get("password"),
        "database": place.get("dbname"),
        "ssl": place.get("sslmode", "prefer"),
        "server_settings": {"options": place["options"]},
    }
