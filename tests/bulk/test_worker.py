# SPDX-License-Identifier: MIT
"""What a worker requests, in which order, and what stops it."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from batchq import InvalidBatch
from batchq.bulk import (
    Backfill,
    Budget,
    ChunkSize,
    StopReason,
    aresume,
    astart,
    preflight,
    resume,
    start,
)
from batchq.bulk.worker import context
from tests.support.worker_driver import driven, prepare

SIZE = ChunkSize(minimum=1, initial=100, maximum=100)
ONE = ["other_versions vpc", "claimable vpc", "estimate", "claim 1"]
BACKFILL = Backfill(name="x", table="t", set={"v": 2}, where={"v": 1})


# -- the order -------------------------------------------------------------------------------------


def test_worker_runs_one_job_after_the_other_and_counts_unfinished_ones(conn: Any) -> None:
    made = driven(conn, {"1": [250, 50], "2": [0, 0]}, chunk_size=SIZE)
    assert made.log == [
        *["other_versions vpc", "claimable vpc"],
        *["estimate", "claim 1", *["chunk 1 100"] * 4, "finish 1"],
        *["estimate", "claim 2", *["chunk 2 100"] * 2, "finish 2"],
        *["claimable vpc", "stats vpc"],
    ]
    assert (made.report.jobs_done, made.report.chunks, made.report.rows) == (2, 6, 300)
    assert made.report.rows_by_table == {"rule0": 250, "rule1": 50}
    assert made.report.chunks_by_table == {"rule0": 4, "rule1": 2}


def test_worker_runs_one_task_after_the_other(conn: Any) -> None:
    made = driven(conn, {}, {"1": [1]}, chunk_size=SIZE)
    assert made.log == [
        *["other_versions a", "claimable a", "other_versions b", "claimable b"],
        *["estimate", "claim 1", "chunk 1 100", "finish 1", "claimable b", "stats a", "stats b"],
    ]


def test_job_claimed_by_another_worker_first_is_not_claimed_again(conn: Any) -> None:
    """Not even if that worker releases it at once."""

    def other_worker(words: str) -> None:
        until = {"claim 1": "infinity", "finish 2": "-infinity"}.get(words)
        if until is not None:
            conn.execute("UPDATE bulk_job SET lease_until = %s WHERE root = '1'", [until])

    made = driven(conn, {"1": [1], "2": [1]}, chunk_size=SIZE, meddle=other_worker)
    assert made.log[2:] == [
        *["estimate", "claim 1", "estimate", "claim 2", "chunk 2 100", "finish 2"],
        *["claimable vpc", "stats vpc"],
    ]
    assert (made.report.jobs_done, made.report.jobs_unfinished) == (1, 1)


def test_chunk_size_starts_again_at_each_stage(conn: Any) -> None:
    size = ChunkSize(minimum=1, initial=100, maximum=1_000)
    made = driven(conn, {"1": [700, 700]}, chunk_size=size)
    chunks = ["chunk 1 100", "chunk 1 200", "chunk 1 400", "chunk 1 800"]
    assert made.of_job == [*chunks, *chunks, "finish 1", "claimable vpc"]


def test_closed_worker_sends_no_further_requests(conn: Any) -> None:
    """The job is left to its lease: a step may be under way."""
    made = prepare(conn, {"1": [250]}, chunk_size=SIZE)
    requests = made.requests()
    assert [next(requests) for _ in range(5)] == [*ONE, "chunk 1 100"]
    requests.close()
    assert made.log == [*ONE, "chunk 1 100"]


# -- what ends it ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "stop_reason", "chunks"),
    [
        ({"chunks": 2}, StopReason.CHUNKS, 2),
        ({"chunks": 0}, StopReason.CHUNKS, 0),
        ({"rows": 200}, StopReason.ROWS, 2),
        ({"rows": 201}, StopReason.ROWS, 3),
        ({"rows": 0}, StopReason.ROWS, 0),
        ({"seconds": 2.0}, StopReason.SECONDS, 2),
        ({"seconds": 2.1}, StopReason.SECONDS, 3),
        ({"chunks": 5}, StopReason.CHUNKS, 5),
    ],
    ids=str,
)
def test_budget_limits_the_chunks(
    conn: Any,
    monkeypatch: pytest.MonkeyPatch,
    budget: dict[str, float],
    stop_reason: StopReason,
    chunks: int,
) -> None:
    """Each takes a second. The final batch is bounded as a chunk is: five are all of it."""
    options = {"chunk_size": SIZE, "budget": Budget(**{"seconds": math.inf, **budget})}
    made = prepare(conn, {"1": [450], "2": [450]}, **options)

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return made.report.rows / 100

    monkeypatch.setattr(context, "time", Clock)
    made.worker.context._started = 0
    assert list(made.requests()) == [*ONE, *["chunk 1 100"] * chunks, "release 1", "stats vpc"]
    assert (made.report.stop_reason, made.report.chunks) == (stop_reason, chunks)
    assert (made.report.jobs_released, made.report.jobs_done) == (1, 0)


def test_stop_and_throttles_are_called_before_each_step(conn: Any) -> None:
    asked: list[str] = []

    def stop() -> bool:
        asked.append("stop")
        return False

    def first() -> None:
        asked.append("first")

    def second() -> str | None:
        asked.append("second")
        return "enough" if len(asked) == 7 else None

    made = driven(conn, {"1": [250]}, chunk_size=SIZE, stop=stop, throttles=[first, second, first])
    assert asked == ["stop", "first", "second", "first", "stop", "first", "second"]
    assert (made.report.stop_reason, made.report.detail) == (StopReason.THROTTLED, "enough")
    made = driven(conn, {"1": [150]}, chunk_size=SIZE, throttles=[lambda: None])
    assert made.of_job[:-1] == [
        *["throttle", "chunk 1 100", "throttle", "chunk 1 100", "throttle", "finish 1"]
    ]


@pytest.mark.parametrize("call", [resume, aresume])
@pytest.mark.parametrize(
    "options",
    [
        {"owner": ""},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": math.nan},
        {"timeout": 30, "lease": timedelta(seconds=30)},
        {"lease": timedelta(seconds=5), "timeout": 5},
        {"pause_ratio": -0.1},
        {"tasks": [BACKFILL, BACKFILL]},
    ],
    ids=str,
)
async def test_invalid_options_are_rejected_before_any_request(
    call: Any, options: dict[str, Any]
) -> None:
    """There is no database to ask."""
    options = {"owner": "test", "tasks": [BACKFILL], **options}
    with pytest.raises(ValueError, match=r"resume\(|two are called"):
        await answer if (answer := call(None, options.pop("tasks"), **options)) else None


@pytest.mark.parametrize("call", [start, astart])
async def test_start_of_a_backfill_is_rejected_with_how_to_start_it(call: Any) -> None:
    with pytest.raises(
        TypeError, match=rf"{call.__name__}\(\) takes a DeleteTree, not a Backfill; "
    ):
        await answer if (answer := call(None, BACKFILL, 1, missing=LookupError())) else None


@pytest.mark.parametrize("call", [resume, aresume, start, astart])
@pytest.mark.parametrize("unknown", ["chunks", "deadline"])
async def test_unknown_or_missing_option_is_named_in_the_error(call: Any, unknown: str) -> None:
    """In the caller's words; there is no database to ask."""
    resumes = call in (resume, aresume)
    required = "owner" if resumes else "missing"
    arguments = (None, [BACKFILL]) if resumes else (None, None, 1)
    its = "budget" if resumes else "generation"
    name = rf"{call.__name__}\(\)"
    for options, message in (
        ({required: "x", unknown: 1}, f"^{name} has no option '{unknown}'; it has .*{its}"),
        ({}, f"^{name} needs {required}=; it has .*{its}"),
    ):
        with pytest.raises(TypeError, match=message):
            await answer if (answer := call(*arguments, **options)) else None


@pytest.mark.parametrize("name", ["chunks", "rows", "seconds"])
@pytest.mark.parametrize("value", [-1, math.nan, -math.inf])
def test_negative_budget_is_rejected(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"Budget\({name}="):
        Budget(**{name: value})


@pytest.mark.parametrize("call", [resume, preflight], ids=lambda call: call.__name__)
def test_connection_in_use_is_refused_before_anything_is_done(conn: Any, call: Any) -> None:
    given = ([BACKFILL],) if call is resume else (BACKFILL,)
    options = {"owner": "me"} if call is resume else {}
    name = rf"{call.__name__}\(\): the connection is"
    with conn.transaction(), pytest.raises(InvalidBatch, match=f"{name} INTRANS, not IDLE"):
        call(conn, *given, **options)
    with conn.pipeline(), pytest.raises(InvalidBatch, match=f"{name} in pipeline mode"):
        call(conn, *given, **options)


def test_what_is_not_a_list_of_tasks_is_rejected(conn: Any) -> None:
    not_a_list: Any = BACKFILL
    with pytest.raises(TypeError, match=r"a list of tasks, not a Backfill; write \[task\]"):
        resume(conn, not_a_list, owner="me")
    wrong: Any = [BACKFILL.start()]
    with pytest.raises(TypeError, match="DeleteTree, Backfill and DeleteRows objects, not of a"):
        resume(conn, wrong, owner="me")
