# SPDX-License-Identifier: MIT
"""A worker among other asyncio tasks: these run meanwhile, and it can be cancelled at any time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from psycopg_pool import AsyncConnectionPool

from tests.support.connection_kinds import going_on, of_each_async_kind, opened
from tests.support.lock_waits import TIMEOUT

WAITS = """SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'worker' AND pg_blocking_pids(pid) <> '{}'"""
BUSY = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'worker' AND state <> 'idle'"
PATIENT: Any = {"timeout": 60, "lease": timedelta(minutes=2)}


async def until(holds: Callable[[], object]) -> None:
    """Let other tasks run until the server says so."""
    async with asyncio.timeout(TIMEOUT):
        while not holds():  # noqa: ASYNC110  no event shows what the server does
            await asyncio.sleep(0)


@of_each_async_kind
@pytest.mark.parametrize("locked", ["rule WHERE id = 450 FOR UPDATE", "vpc WHERE id = 1 FOR SHARE"])
async def test_other_asyncio_tasks_run_during_a_step(
    fenced: Any, database: str, connect: Any, kind: Any, locked: str
) -> None:
    """One of them holds the lock that it waits for."""
    holder = connect()
    holder.execute("BEGIN")
    holder.execute(f"SELECT FROM {locked}")
    async with opened(kind, database) as target:
        work = asyncio.create_task(going_on(kind, target, fenced, **PATIENT))
        await until(lambda: fenced.one(WAITS))
        holder.execute("ROLLBACK")
        assert (await work).jobs_done == 1
    fenced.assert_deleted()


@of_each_async_kind
async def test_asyncio_tasks_on_one_pool_never_delete_a_row_twice(
    estate: Any, database: str, kind: Any
) -> None:
    estate.fence(1)
    estate.fence(2)
    async with opened(kind, database) as one, opened(kind, database) as other:
        reports = await asyncio.gather(
            going_on(kind, one, estate, owner="one"),
            going_on(kind, one if kind is AsyncConnectionPool else other, estate, owner="other"),
        )
    assert sum(report.rows for report in reports) == 1_010
    assert sum(report.jobs_done for report in reports) == 2


async def _cancelled(work: asyncio.Task[Any]) -> None:
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


def _assert_taken_up(fenced: Any, done: int) -> None:
    """Assert that it ended in the middle: the job is its owner's until the lease ends."""
    assert fenced.job("phase, owner, rows_done") == ("active", "test", done)
    fenced.assert_exact()
    assert fenced.resume().chunks == 0
    fenced.end_lease()
    assert fenced.resume().rows == 1_000 - done
    fenced.assert_deleted()


@of_each_async_kind
@pytest.mark.parametrize(
    "place", [("rule WHERE id = 450 FOR UPDATE", 300), ("vpc WHERE id = 1 FOR SHARE", 1_000)]
)
async def test_asyncio_cancel_in_a_step_leaves_the_job_to_its_lease(
    fenced: Any, database: str, connect: Any, kind: Any, place: tuple[str, int]
) -> None:
    holder, (locked, done) = connect(), place
    holder.execute("BEGIN")
    holder.execute(f"SELECT FROM {locked}")
    async with opened(kind, database) as target:
        work = asyncio.create_task(going_on(kind, target, fenced, **PATIENT))
        await until(lambda: fenced.one(WAITS))
        await _cancelled(work)
        holder.execute("ROLLBACK")
        await until(lambda: not fenced.one(BUSY))
        _assert_taken_up(fenced, done)


@of_each_async_kind
@pytest.mark.parametrize("place", ["throttle", "rest"])
async def test_asyncio_cancel_between_steps_leaves_the_job_to_its_lease(
    fenced: Any, database: str, kind: Any, place: str
) -> None:
    async def forever() -> None:
        if fenced.job("rows_done"):
            await asyncio.Event().wait()

    options: Any = {"throttles": [forever]} if place == "throttle" else {"pause_ratio": 1e9}
    async with opened(kind, database) as target:
        work = asyncio.create_task(going_on(kind, target, fenced, **options))
        await until(lambda: fenced.job("rows_done") and not fenced.one(BUSY))
        await _cancelled(work)
        _assert_taken_up(fenced, 300)
