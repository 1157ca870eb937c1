# SPDX-License-Identifier: MIT
"""Run a batch on a sync or an async connection, for tests that must hold on both."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

import psycopg

import batchq
from batchq.result import Failed, Ok, aattempt, arun_many, attempt, run_many
from batchq.testing import Recording

ITEMS = """
CREATE TABLE item (
    id int PRIMARY KEY,
    size int CONSTRAINT item_size_check CHECK (size > 0),
    place int CONSTRAINT item_place_key UNIQUE DEFERRABLE INITIALLY DEFERRED
)
"""


def item(id: int, *, size: int = 1, place: int | None = None) -> batchq.Statement[None]:
    """Insert an item; by ``size`` and ``place`` it fails as a step or at COMMIT."""
    return batchq.insert("item", {"id": id, "size": size, "place": place})


class Client:
    """A connection that runs batches, in autocommit by default."""

    conn: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]

    def attempt(self, batch: batchq.Batch[Any], **options: Any) -> Ok[Any] | Failed:
        raise NotImplementedError

    def run_many(self, batches: Iterable[batchq.Batch[Any]], **options: Any) -> list[Any]:
        raise NotImplementedError

    def execute(self, query: str) -> None:
        raise NotImplementedError

    def fetch(self, query: str) -> list[Any]:
        """Return the rows of a query."""
        raise NotImplementedError

    def disconnect(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.disconnect()

    def run(self, batch: batchq.Batch[Any], **options: Any) -> Any:
        answer = self.attempt(batch, **options)
        if isinstance(answer, Failed):
            raise answer.error
        return answer.value

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class SyncClient(Client):
    def __init__(self, conninfo: str, **settings: Any) -> None:
        self.conn = psycopg.connect(conninfo, **{"autocommit": True, **settings})

    def attempt(self, batch: batchq.Batch[Any], **options: Any) -> Ok[Any] | Failed:
        return attempt(self.conn, batch, **options)

    def run_many(self, batches: Iterable[batchq.Batch[Any]], **options: Any) -> list[Any]:
        return run_many(self.conn, batches, **options)

    def execute(self, query: str) -> None:
        self.conn.execute(query, prepare=False)

    def fetch(self, query: str) -> list[Any]:
        return self.conn.execute(query, prepare=False).fetchall()

    def disconnect(self) -> None:
        self.conn.close()


class AsyncClient(Client):
    def __init__(self, conninfo: str, **settings: Any) -> None:
        self.loop = asyncio.Runner()
        self.conn = self.loop.run(
            psycopg.AsyncConnection.connect(conninfo, **{"autocommit": True, **settings})
        )

    def attempt(self, batch: batchq.Batch[Any], **options: Any) -> Ok[Any] | Failed:
        return self.loop.run(aattempt(self.conn, batch, **options))

    def run_many(self, batches: Iterable[batchq.Batch[Any]], **options: Any) -> list[Any]:
        return self.loop.run(arun_many(self.conn, batches, **options))

    def execute(self, query: str) -> None:
        self.loop.run(self.conn.execute(query, prepare=False))

    def fetch(self, query: str) -> list[Any]:
        return self.loop.run(self._fetch(query))

    async def _fetch(self, query: str) -> list[Any]:
        return await (await self.conn.execute(query, prepare=False)).fetchall()

    def disconnect(self) -> None:
        self.loop.run(self.conn.close())

    def close(self) -> None:
        super().close()
        self.loop.close()


def parsed(recording: Recording) -> list[bytes]:
    """Return the names in the Parse messages sent, in order; empty for an unnamed statement."""
    return [
        message.body.partition(b"\0")[0]
        for message in recording.messages
        if message.sender == "client" and message.kind == "P"
    ]


def prepared(conn: psycopg.Connection[Any]) -> set[bytes]:
    """Return the names of the statements that the server has prepared for this connection."""
    # The simple protocol: this query must not prepare a statement itself.
    answer = conn.pgconn.exec_(b"SELECT name FROM pg_prepared_statements")
    return {value for row in range(answer.ntuples) if (value := answer.get_value(row, 0))}
