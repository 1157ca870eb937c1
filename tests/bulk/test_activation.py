# SPDX-License-Identifier: MIT
"""What an activation asks for, in which order, and what ends it; without a database."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from batchq.bulk import (
    Budget,
    ChunkSize,
    Rewrite,
    Stopped,
    aresume,
    astart,
    resume,
    start,
)
from batchq.bulk.worker import context as course_module
from tests.support.fake_jobs import (
    Imagined,
)
from tests.support.worker_driver import Driven, driven

SIZE = ChunkSize(least=1, first=100, most=100)
ONE = ["unknown vpc", "waiting vpc", "estimate", "claim 1"]
END = ["waiting vpc", "backlog vpc"]


# -- the order -------------------------------------------------------------------------------------


def test_it_asks_for_each_job_one_after_the_other_and_looks_back_at_the_end() -> None:
    made = driven(Imagined({"1": [250, 50], "2": [0, 0]}), size=SIZE)
    assert made.said == [
        *["unknown vpc", "waiting vpc"],
        *[
            "estimate",
            "claim 1",
            "chunk 1 100",
            "chunk 1 100",
            "chunk 1 100",
            "chunk 1 100",
            "last 1",
        ],
        *["estimate", "claim 2", "chunk 2 100", "chunk 2 100", "last 2"],
        *["waiting vpc", "backlog vpc"],
    ]
    assert (made.report.jobs_done, made.report.chunks, made.report.rows) == (2, 6, 300)
    assert made.report.rows_by_table == {"table0": 250, "table1": 50}
    assert made.report.chunks_by_table == {"table0": 4, "table1": 2}


def test_it_takes_the_works_one_after_the_other() -> None:
    made = driven(Imagined({}, name="a"), Imagined({"1": [1]}, name="b"), size=SIZE)
    assert made.said == [
        *["unknown a", "waiting a", "unknown b", "waiting b"],
        *["estimate", "claim 1", "chunk 1 100", "last 1", "waiting b", "backlog a", "backlog b"],
    ]


def test_a_job_that_somebody_else_was_faster_to_claim_is_not_asked_for_again() -> None:
    work = Imagined({"1": [1], "2": [1]}, taken={"1"})
    made = driven(work, size=SIZE)
    assert made.said[2:8] == [
        *["estimate", "claim 1", "estimate", "claim 2", "chunk 2 100", "last 2"]
    ]
    assert [set(ask.batch.but) for ask in made.asked if "waiting" in str(ask)] == [
        set(),
        set(work.stored),
    ]
    assert (made.report.jobs_done, made.report.jobs_waiting) == (1, 1)


def test_a_table_of_its_own_begins_with_the_first_size_again() -> None:
    size = ChunkSize(least=1, first=100, most=1_000)
    made = driven(Imagined({"1": [700, 700]}), size=size)
    chunks = ["chunk 1 100", "chunk 1 200", "chunk 1 400", "chunk 1 800"]
    assert made.of_job == [*chunks, *chunks, "last 1", "waiting vpc"]


def test_a_driver_that_breaks_off_asks_for_nothing_more() -> None:
    """The job is left to its lease: whoever breaks off may be in the middle of something."""
    made = Driven([Imagined({"1": [250]})], {"size": SIZE})
    requests = made.requests()
    assert [next(requests) for _ in range(5)] == [*ONE, "chunk 1 100"]
    requests.close()
    assert made.said == [*ONE, "chunk 1 100"]


# -- what ends it ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "stopped", "chunks"),
    [
        ({"chunks": 2}, Stopped.CHUNKS, 2),
        ({"chunks": 0}, Stopped.CHUNKS, 0),
        ({"rows": 200}, Stopped.ROWS, 2),
        ({"rows": 201}, Stopped.ROWS, 3),
        ({"rows": 0}, Stopped.ROWS, 0),
        ({"seconds": 2.0}, Stopped.SECONDS, 2),
        ({"seconds": 2.1}, Stopped.SECONDS, 3),
        ({"chunks": 5}, Stopped.CHUNKS, 5),
    ],
)
def test_a_budget_bounds_the_chunks_that_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, budget: dict[str, float], stopped: Stopped, chunks: int
) -> None:
    """Each takes a second. The last step of a job is bounded as a chunk is: five are all of it."""
    work = Imagined({"1": [450], "2": [450]}, cost=0.01)

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return work.gone.total() / 100

    monkeypatch.setattr(course_module, "time", Clock)
    size = ChunkSize(least=100, first=100, most=100)
    options = {"size": size, "budget": Budget(**{"seconds": math.inf, **budget})}
    made = Driven([work], options)
    made.activation.course._began = 0
    assert list(made.requests()) == [*ONE, *["chunk 1 100"] * chunks, "leave 1", "backlog vpc"]
    assert (made.report.stopped, made.report.chunks) == (stopped, chunks)
    assert (made.report.jobs_deferred, made.report.jobs_done) == (1, 0)


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

    made = driven(Imagined({"1": [250]}), size=SIZE, stop=stop, throttles=[first, second, first])
    assert asked == ["stop", "first", "second", "first", "stop", "first", "second"]
    assert (made.report.stopped, made.report.why) == (Stopped.THROTTLED, "enough")
    made = driven(Imagined({"1": [150]}), size=SIZE, throttles=[lambda: None])
    assert made.of_job[:-1] == [
        *["throttle", "chunk 1 100", "throttle", "chunk 1 100", "throttle", "last 1"]
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
        {"rest": -0.1},
        {"works": [Imagined({}), Imagined({})]},
        {"works": [Imagined({}, name="x"), Rewrite(name="x", table="t", set={}, where={})]},
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
    required = "owner" if resumes else "gone"
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
