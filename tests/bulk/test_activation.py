# SPDX-License-Identifier: MIT
"""What an activation asks for, in which order, and what ends it; without a database."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from batchq.bulk import Backfill, Budget, ChunkSize, StopReason, aresume, astart, resume, start
from batchq.bulk.worker import context as course_module
from tests.support.fake_jobs import (
    Imagined,
)
from tests.support.worker_driver import Driven, driven

SIZE = ChunkSize(minimum=1, initial=100, maximum=100)
ONE = ["other_versions vpc", "claimable vpc", "estimate", "claim 1"]
END = ["claimable vpc", "stats vpc"]


# -- the order -------------------------------------------------------------------------------------


def test_it_asks_for_each_job_one_after_the_other_and_looks_back_at_the_end() -> None:
    made = driven(Imagined({"1": [250, 50], "2": [0, 0]}), chunk_size=SIZE)
    assert made.said == [
        *["other_versions vpc", "claimable vpc"],
        *[
            "estimate",
            "claim 1",
            "chunk 1 100",
            "chunk 1 100",
            "chunk 1 100",
            "chunk 1 100",
            "finish 1",
        ],
        *["estimate", "claim 2", "chunk 2 100", "chunk 2 100", "finish 2"],
        *["claimable vpc", "stats vpc"],
    ]
    assert (made.report.jobs_done, made.report.chunks, made.report.rows) == (2, 6, 300)
    assert made.report.rows_by_table == {"table0": 250, "table1": 50}
    assert made.report.chunks_by_table == {"table0": 4, "table1": 2}


def test_it_takes_the_works_one_after_the_other() -> None:
    made = driven(Imagined({}, name="a"), Imagined({"1": [1]}, name="b"), chunk_size=SIZE)
    assert made.said == [
        *["other_versions a", "claimable a", "other_versions b", "claimable b"],
        *["estimate", "claim 1", "chunk 1 100", "finish 1", "claimable b", "stats a", "stats b"],
    ]


def test_a_job_that_somebody_else_was_faster_to_claim_is_not_asked_for_again() -> None:
    work = Imagined({"1": [1], "2": [1]}, taken={"1"})
    made = driven(work, chunk_size=SIZE)
    assert made.said[2:8] == [
        *["estimate", "claim 1", "estimate", "claim 2", "chunk 2 100", "finish 2"]
    ]
    assert [set(ask.batch.but) for ask in made.asked if "claimable" in str(ask)] == [
        set(),
        set(work.stored),
    ]
    assert (made.report.jobs_done, made.report.jobs_unfinished) == (1, 1)


def test_a_table_of_its_own_begins_with_the_first_size_again() -> None:
    size = ChunkSize(minimum=1, initial=100, maximum=1_000)
    made = driven(Imagined({"1": [700, 700]}), chunk_size=size)
    chunks = ["chunk 1 100", "chunk 1 200", "chunk 1 400", "chunk 1 800"]
    assert made.of_job == [*chunks, *chunks, "finish 1", "claimable vpc"]


def test_a_driver_that_breaks_off_asks_for_nothing_more() -> None:
    """The job is left to its lease: whoever breaks off may be in the middle of something."""
    made = Driven([Imagined({"1": [250]})], {"chunk_size": SIZE})
    requests = made.requests()
    assert [next(requests) for _ in range(5)] == [*ONE, "chunk 1 100"]
    requests.close()
    assert made.said == [*ONE, "chunk 1 100"]


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
)
def test_a_budget_bounds_the_chunks_that_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, budget: dict[str, float], stop_reason: StopReason, chunks: int
) -> None:
    """Each takes a second. The last step of a job is bounded as a chunk is: five are all of it."""
    work = Imagined({"1": [450], "2": [450]}, cost=0.01)

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return work.gone.total() / 100

    monkeypatch.setattr(course_module, "time", Clock)
    size = ChunkSize(minimum=100, initial=100, maximum=100)
    options = {"chunk_size": size, "budget": Budget(**{"seconds": math.inf, **budget})}
    made = Driven([work], options)
    made.worker.context._started = 0
    assert list(made.requests()) == [*ONE, *["chunk 1 100"] * chunks, "release 1", "stats vpc"]
    assert (made.report.stop_reason, made.report.chunks) == (stop_reason, chunks)
    assert (made.report.jobs_released, made.report.jobs_done) == (1, 0)


def test_before_each_step_it_is_asked_to_stop_and_then_the_throttles() -> None:
    asked: list[str] = []

    def stop() -> bool:
        asked.append("stop")
        return False

    def first() -> None:
        asked.append("first")

    def second() -> str | None:
        asked.append("second")
        return "enough" if len(asked) == 7 else None

    made = driven(
        Imagined({"1": [250]}), chunk_size=SIZE, stop=stop, throttles=[first, second, first]
    )
    assert asked == ["stop", "first", "second", "first", "stop", "first", "second"]
    assert (made.report.stop_reason, made.report.detail) == (StopReason.THROTTLED, "enough")
    made = driven(Imagined({"1": [150]}), chunk_size=SIZE, throttles=[lambda: None])
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
        {"works": [Imagined({}), Imagined({})]},
        {"works": [Imagined({}, name="x"), Backfill(name="x", table="t", set={}, where={})]},
    ],
    ids=str,
)
async def test_what_cannot_be_meant_is_refused_before_anything_is_asked(
    call: Any, options: dict[str, Any]
) -> None:
    """There is no database to ask."""
    options = {"owner": "test", "works": [Imagined({})], **options}
    with pytest.raises(ValueError, match=r"resume\(|two are called"):
        await answer if (answer := call(None, options.pop("works"), **options)) else None


@pytest.mark.parametrize("call", [resume, aresume, start, astart])
@pytest.mark.parametrize("unknown", ["chunks", "deadline"])
async def test_an_option_that_there_is_not_or_that_is_missing_is_named_with_those_that_there_are(
    call: Any, unknown: str
) -> None:
    """In the caller's words; there is no database to ask."""
    resumes = call in (resume, aresume)
    required = "owner" if resumes else "missing"
    arguments = (None, [Imagined({})]) if resumes else (None, None, 1)
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
def test_a_budget_of_less_than_nothing_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"Budget\({name}="):
        Budget(**{name: value})
