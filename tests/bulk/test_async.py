# SPDX-License-Identifier: MIT
"""Connections and pools, sync and async, behave the same; async throttles are awaited."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from psycopg import AsyncConnection

from batchq import InvalidBatch
from batchq.bulk import (
    Budget,
    Deleted,
    Fenced,
    Progress,
    Report,
    StopReason,
    apreflight,
    aresume,
    astart,
    start,
)
from batchq.bulk.progress.events import Event
from tests.support.connection_kinds import ASYNC, going_on, of_each_async_kind, of_each_kind, opened

# -- the same in four ways -------------------------------------------------------------------------


async def begun(kind: Any, database: Any, estate: Any, vpc: int) -> Deleted | Fenced:
    if kind in ASYNC:
        return await astart(database, estate.tree, vpc, missing=estate.missing())
    return start(database, estate.tree, vpc, missing=estate.missing())


@of_each_kind
@pytest.mark.parametrize("vpc", [2, 1], ids=["small", "large"])
async def test_start_does_the_same_on_four_kinds_of_connections(
    estate: Any, database: str, kind: Any, vpc: int
) -> None:
    estate.conn.execute("INSERT INTO rule VALUES (5000, 1)")  # one too many
    async with opened(kind, database) as target:
        received = await begun(kind, target, estate, vpc)
        assert received == (Deleted(10) if vpc == 2 else Fenced(estate.job("id")))
        with pytest.raises(estate.missing):
            await begun(kind, target, estate, vpc)


REFUSED = (
    "CREATE TABLE hit (at int CONSTRAINT hit_fk REFERENCES rule); INSERT INTO hit VALUES (500)"
)


@of_each_kind
@pytest.mark.parametrize(
    "scenario",
    [
        ("SELECT", {}, {"jobs_done": 1, "rows": 1_000, "chunks": 4}),
        (
            "SELECT",
            {"budget": Budget(rows=301)},
            {"stop_reason": StopReason.ROWS, "rows": 600, "jobs_released": 1, "jobs_unfinished": 1},
        ),
        (
            "SELECT",
            {"throttles": [lambda: None, lambda: "lag"]},
            {"stop_reason": StopReason.THROTTLED, "detail": "lag", "throttled": {"lag": 1}},
        ),
        ("SELECT", {"pause_ratio": 1e-9}, {"jobs_done": 1, "rows": 1_000}),
        (REFUSED, {}, {"jobs_stuck": 1, "rows": 300}),
        ("UPDATE vpc SET rcgen = rcgen + 1", {}, {"jobs_stuck": 1, "rows": 0}),
        ("DROP TABLE rule", {}, {"stop_reason": StopReason.FAILED, "jobs_released": 1}),
        ("DROP TABLE bulk_job", {}, {"stop_reason": StopReason.FAILED, "jobs_released": 0}),
        ("UPDATE bulk_job SET version = 9", {}, {"jobs_skipped": 1, "chunks": 0}),
        ("UPDATE bulk_job SET lease_until = 'infinity'", {}, {"jobs_unfinished": 1, "chunks": 0}),
    ],
    ids=["done", "rows", "throttled", "sleep", "refused", "moved", "failed", "none", "new", "held"],
)
async def test_resume_ends_the_same_on_four_kinds_of_connections(
    fenced: Any, database: str, kind: Any, scenario: tuple[str, dict[str, Any], dict[str, Any]]
) -> None:
    before, options, report = scenario
    fenced.conn.execute(before)
    watched: list[Progress | Report] = []
    async with opened(kind, database) as target:
        received = await going_on(kind, target, fenced, observers=[watched.append], **options)
    assert {name: getattr(received, name) for name in report} == report
    assert watched[-1] == received


@of_each_kind
async def test_late_row_and_lost_lease_are_found_on_four_kinds_of_connections(
    fenced: Any, database: str, kind: Any, at: Any
) -> None:
    def late() -> None:
        fenced.conn.execute("INSERT INTO rule VALUES (5000, 1)")

    def take_away() -> None:
        fenced.end_lease()
        fenced.resume()

    async with opened(kind, database) as target:
        throttles = [at(5, late), at(6, take_away)]
        received = await going_on(kind, target, fenced, throttles=throttles)
    assert (received.rows_after_fence, received.leases_lost, received.rows) == (1, 1, 1_000)
    fenced.assert_deleted(rows=1_001)


@of_each_kind
async def test_slow_step_is_canceled_on_four_kinds_of_connections(
    fenced: Any, database: str, connect: Any, kind: Any
) -> None:
    holder = connect()
    holder.execute("BEGIN")
    holder.execute("SELECT FROM rule WHERE id = 450 FOR UPDATE")

    def let_in(received: Progress | Report) -> None:
        if isinstance(received, Progress) and received.event is Event.RETRIED:
            holder.execute("ROLLBACK")

    async with opened(kind, database) as target:
        received = await going_on(kind, target, fenced, observers=[let_in], timeout=1)
    assert (received.retries, received.jobs_done) == (1, 1)
    fenced.assert_deleted()


class Broken(Exception):
    """A bug of the caller's."""


@of_each_kind
@pytest.mark.parametrize("place", ["throttles", "stop", "observers"])
async def test_error_of_a_callable_is_raised_on_four_kinds_of_connections(
    fenced: Any, database: str, kind: Any, place: str
) -> None:
    def broken(*_args: Any) -> None:
        raise Broken

    options: Any = {place: broken if place == "stop" else [broken]}
    async with opened(kind, database) as target:
        with pytest.raises(Broken):
            await going_on(kind, target, fenced, **options)
    assert fenced.job("lease_until, owner") == (None, None)


# -- throttles that are awaited --------------------------------------------------------------------


@of_each_async_kind
@pytest.mark.parametrize("raises", [False, True])
async def test_throttle_may_be_a_coroutine_function_among_others(
    fenced: Any, database: str, kind: Any, raises: bool
) -> None:
    asked: list[str] = []

    async def pausing() -> str | None:
        await asyncio.sleep(0)
        asked.append("pausing")
        if len(asked) < 6:
            return None
        if raises:
            raise Broken
        return "pause"

    throttles: Any = [pausing, lambda: asked.append("plain")]
    async with opened(kind, database) as target:
        work = going_on(kind, target, fenced, throttles=throttles)
        if raises:
            with pytest.raises(Broken):
                await work
        else:
            assert (await work).detail == "pause"
    assert asked == [*["pausing", "plain"] * 3, "pausing"]
    assert fenced.job("lease_until, rows_done") == (None, 900)


async def test_sync_resume_rejects_a_coroutine_throttle(fenced: Any) -> None:
    """It would hold back everything, for it is not None: refused, with what to call instead."""

    async def pausing() -> None:
        raise AssertionError

    with pytest.raises(TypeError, match="aresume"):
        fenced.resume(throttles=[pausing])
    assert fenced.job("lease_until, rows_done") == (None, 0)


async def test_async_connection_in_use_is_refused(fenced: Any, database: str) -> None:
    async with await AsyncConnection.connect(database, autocommit=True) as conn:
        for call in (
            aresume(conn, [fenced.tree], owner="test"),
            apreflight(conn, fenced.tree, 1),
        ):
            async with conn.transaction():
                with pytest.raises(InvalidBatch, match=r"^a\w+\(\): the connection is INTRANS"):
                    await call
    assert fenced.job("phase, epoch") == ("active", 0)
