# SPDX-License-Identifier: MIT
"""asyncpg, under its own loop: it has no pipeline, so each statement waits for its answer.

https://magicstack.github.io/asyncpg/current/usage.html: "Transactions". It prepares statements by
itself, and returns its own records: it has no way to make models of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import asyncpg  # type: ignore[import-untyped]
from psycopg.conninfo import conninfo_to_dict

from benchmarks.peers import Driver, Peer
from benchmarks.workloads import Rows


class Asyncpg(Peer):
    """Wait for the answer to each statement."""

    name: ClassVar[str] = "asyncpg transaction()"

    @contextmanager
    def open(self, conninfo: str) -> Iterator[Driver]:
        """Connect, and enter the loop once for all inputs of a turn."""

        async def drive(inputs: Sequence[Any]) -> list[object]:
            return [await self.ended(conn, given) for given in inputs]

        with asyncio.Runner() as runner:
            conn = runner.run(asyncpg.connect(**connect_options(conninfo)))
            try:
                yield lambda inputs: runner.run(drive(inputs))
            finally:
                runner.run(conn.close())

    async def ended(self, conn: Any, given: Any) -> object:
        """Make a call; compare its failure with the one that is expected."""
        if self.workload.failure is None:
            return await self.call(conn, given)
        try:
            await self.call(conn, given)
        except Exception as error:  # noqa: BLE001  compared with the failure that is expected
            return self.outcome(error)
        return self.outcome(None)

    async def call(self, conn: Any, given: Any) -> object:
        """Run the commands in a transaction block."""
        try:
            async with conn.transaction():
                return await self.work(conn, given)
        except asyncpg.IntegrityConstraintViolationError as error:
            raise self.workload.error(error.constraint_name, given) from error

    async def apooled(self, pool: Any, given: Any) -> object:
        """Run the commands on a pool."""
        async with pool.acquire() as conn:
            return await self.call(conn, given)

    async def work(self, conn: Any, given: Any) -> object:
        """Send each command, and check its answer before the next one."""
        results: list[Rows] = []
        commands = zip(self.workload.commands, self.workload.values(given), strict=True)
        for command, values in commands:
            if command.returns:
                results.append(await conn.fetch(command.sql, *values))
                count = len(results[-1])
            else:
                results.append(())
                count = int((await conn.execute(command.sql, *values)).rpartition(" ")[2])
            command.check(count, results[-1], given)
        return results


class AsyncpgMany(Asyncpg):
    """Send one statement with the values of all commands, which are the same statement."""

    name: ClassVar[str] = "asyncpg executemany()"

    async def call(self, conn: Any, given: Any) -> object:
        """Run the commands by ``executemany()``, which is atomic."""
        await conn.executemany(self.workload.commands[0].sql, self.workload.values(given))
        return None


def connect_options(conninfo: str) -> dict[str, Any]:
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
