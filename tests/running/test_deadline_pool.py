# SPDX-License-Identifier: MIT
"""Waiting for a connection of a pool is part of a run, and a deadline bounds it."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextlib import ExitStack, closing, suppress
from unittest.mock import patch

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, AsyncNullConnectionPool, NullConnectionPool

import batchq
from batchq import BatchError, ConnectionFailed, DeadlineExceeded, Outcome
from batchq.result import aattempt, attempt
from batchq.testing import proxy
from tests.support.clients import ITEMS, item
from tests.support.clock import LONG
from tests.support.lock_waits import TIMEOUT

from .conftest import AsyncPoolClient, PoolClient

SOON = 0.2
"""Seconds until a deadline that is to pass; nothing depends on how exactly it does."""


class Taken:
    """Takes the only connection of a pool, as another run would."""

    def __init__(self, client):
        self.client = client

    def __enter__(self):
        self.taken = self.client.wait_for(self.client.pool.getconn())

    def __exit__(self, *_):
        self.client.wait_for(self.client.pool.putconn(self.taken))


class Looking:
    """A pool's look at a connection that takes until the test lets it end."""

    def __init__(self):
        self.over = threading.Event()

    def check(self, _):
        assert self.over.wait(TIMEOUT)

    async def acheck(self, _):
        if not self.over.is_set():
            await asyncio.Event().wait()  # until it is cancelled


class TestThePool:
    """Waiting for one of its connections is part of the run."""

    def test_pool_without_a_free_connection_ends_at_the_deadline(self, pool, conn):
        with Taken(pool):
            answer = pool.attempt(item(1), deadline=SOON)
            assert isinstance(answer.error, DeadlineExceeded)
            assert answer.outcome is Outcome.NOT_SENT
            assert type(answer.error.__cause__).__name__ == "PoolTimeout"
        pool.run(item(2), deadline=LONG)
        assert conn.execute("SELECT id FROM item").fetchall() == [(2,)]

    def test_pool_timeout_applies_if_it_is_shorter(self, pool):
        with Taken(pool):
            pool.pool.timeout = 0.01
            answer = pool.attempt(item(1), deadline=LONG)
        assert isinstance(answer.error, ConnectionFailed)
        assert answer.outcome is Outcome.NOT_SENT

    @pytest.mark.parametrize("kind", [PoolClient, AsyncPoolClient])
    def test_its_look_at_a_connection_is_not_waited_for(self, database, conn, kind):
        """The look is a query, whose answer never comes; then the network is there again."""
        conn.execute(ITEMS)
        with ExitStack() as until_closed:
            link = until_closed.enter_context(proxy(database))
            client = kind(link.conninfo(), check=kind.checks)
            client.run(item(1), deadline=LONG)
            link.silence_answers(after=0)
            answer = client.attempt(item(2), deadline=SOON)
            assert isinstance(answer.error, DeadlineExceeded)
            assert answer.outcome is Outcome.NOT_SENT
        client.close()
        assert conn.execute("SELECT id FROM item").fetchall() == [(1,)]

    async def test_a_task_that_is_cancelled_does_not_wait_for_that_look(self, database, conn):
        conn.execute(ITEMS)
        looking, over = asyncio.Event(), asyncio.Event()

        async def check(_):
            looking.set()
            while not over.is_set():  # as psycopg, which waits for the answer to a cancel request
                with suppress(asyncio.CancelledError):
                    await over.wait()

        async with AsyncConnectionPool(
            database, min_size=1, max_size=1, open=False, check=check
        ) as pool:
            task = asyncio.ensure_future(batchq.arun(pool, item(1)))
            await looking.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as raised:
                await task
            assert raised.value.__notes__[0].endswith("not_sent")
            over.set()
            await batchq.arun(pool, item(2))
        assert conn.execute("SELECT id FROM item").fetchall() == [(2,)]

    @pytest.mark.parametrize("kind", [NullConnectionPool, AsyncNullConnectionPool])
    async def test_a_null_pool_that_connects_is_not_waited_for(self, database, conn, kind):
        conn.execute(ITEMS)
        with proxy(database) as link:
            pool = kind(link.conninfo(), open=False)
            with closing(psycopg.connect(link.conninfo())) as other:
                link.silence_requests(after=0)
                other.pgconn.send_query(b"SELECT 1")
                assert link.silenced.wait(TIMEOUT)
            if kind is NullConnectionPool:
                with pool:
                    answer = attempt(pool, item(1), deadline=SOON)
            else:
                async with pool:
                    answer = await aattempt(pool, item(1), deadline=SOON)
            assert isinstance(answer.error, DeadlineExceeded)
            assert answer.outcome is Outcome.NOT_SENT

    @pytest.mark.parametrize("kind", [PoolClient, AsyncPoolClient])
    def test_connection_given_too_late_is_returned(self, database, conn, kind):
        """The check succeeds in the end: the pool's only connection can be used again."""
        conn.execute(ITEMS)
        looking = Looking()
        check = looking.check if kind is PoolClient else looking.acheck
        with kind(database, check=check) as client:
            answer = client.attempt(item(1), deadline=SOON)
            assert isinstance(answer.error, DeadlineExceeded)
            looking.over.set()
            client.run(item(2), deadline=LONG)
            client.run(item(3))
        assert conn.execute("SELECT id FROM item").fetchall() == [(2,), (3,)]

    def test_connection_handed_over_after_the_wait_is_returned(self, database, conn):
        """The deadline passes, and just then there is one after all."""
        conn.execute(ITEMS)
        looking = Looking()
        with PoolClient(database, check=looking.check) as client:
            passing = Future.result

            def handed_over(asked, timeout=None):
                if asked.done() or timeout is None:
                    return passing(asked)
                looking.over.set()
                passing(asked)
                raise TimeoutError

            with patch.object(Future, "result", handed_over), pytest.raises(BatchError):
                client.run(item(1), deadline=LONG)
            client.run(item(2))
        assert conn.execute("SELECT id FROM item").fetchall() == [(2,)]
