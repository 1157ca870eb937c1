# SPDX-License-Identifier: MIT
"""What a worker requests after each failure."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchq.bulk import Budget, ChunkSize, StopReason
from batchq.bulk.errors import ParentKept
from tests.support.worker_driver import (
    after,
    conflict,
    cut,
    denied,
    driven,
    fine,
    integrity,
    lease_lost,
    lost,
    means,
    moved,
    timeout,
    unsent,
)

SIZE = ChunkSize(minimum=1, initial=100, maximum=100)
GO_ON = ["finish 1", "claimable vpc"]


@pytest.mark.parametrize(
    ("failing", "asked"),
    [
        ([conflict], ["chunk 1 100", "sleep", "renew_lease 1", *["chunk 1 50"] * 2, *GO_ON]),
        ([unsent], ["chunk 1 100", "sleep", "renew_lease 1", *["chunk 1 50"] * 2, *GO_ON]),
        ([timeout], ["chunk 1 100", "renew_lease 1", *["chunk 1 25"] * 4, *GO_ON]),
        (
            [conflict, timeout],
            [
                *["chunk 1 100", "sleep", "renew_lease 1", "chunk 1 50", "renew_lease 1"],
                *[*["chunk 1 12"] * 6, "chunk 1 24", *GO_ON],
            ],
        ),
        ([lost(done=False)], ["chunk 1 100", "get 1", "chunk 1 100", *GO_ON]),
        ([lost(done=True)], ["chunk 1 100", "get 1", *GO_ON]),
        ([integrity], ["chunk 1 100", "restart 1", "chunk 1 100", *GO_ON]),
        ([lease_lost], ["chunk 1 100", "claimable vpc"]),
        ([denied], ["chunk 1 100", "release 1", "claimable vpc"]),
        ([cut], ["chunk 1 100", "release 1"]),
        ([None, conflict], ["chunk 1 100", "finish 1", "sleep", "renew_lease 1", *GO_ON]),
        ([None, lost(done=False)], ["chunk 1 100", "finish 1", "get 1", *GO_ON]),
        ([None, lost(done=True)], ["chunk 1 100", "finish 1", "get 1", "claimable vpc"]),
        ([None, integrity], ["chunk 1 100", "finish 1", "restart 1", "chunk 1 100", *GO_ON]),
        (
            [None, after("INSERT INTO rule0 (vpc_id) VALUES (1)")],
            ["chunk 1 100", "finish 1", "restart 1", "chunk 1 100", *GO_ON],
        ),
        ([moved], ["chunk 1 100", "diagnose", "mark_stuck 1", "claimable vpc"]),
        (
            [None, moved],
            ["chunk 1 100", "finish 1", "diagnose", "mark_stuck 1", "claimable vpc"],
        ),
        (
            [None, means(ParentKept("vpc"))],
            ["chunk 1 100", "finish 1", "mark_stuck 1", "claimable vpc"],
        ),
        ([None, lease_lost], ["chunk 1 100", "finish 1", "claimable vpc"]),
        ([None, denied], ["chunk 1 100", "finish 1", "release 1", "claimable vpc"]),
        ([None, cut], ["chunk 1 100", "finish 1", "release 1"]),
    ],
)
def test_each_failure_leads_to_its_requests(
    conn: Any, failing: list[Any], asked: list[str]
) -> None:
    failing = [failure or fine for failure in failing]
    made = driven(conn, {"1": [80]}, failing=failing, chunk_size=SIZE)
    assert made.of_job == asked


@pytest.mark.parametrize("failure", [conflict, timeout], ids=["conflict", "timeout"])
@pytest.mark.parametrize("passed", [0, 1], ids=["chunk", "final batch"])
def test_sixth_failure_in_a_row_stops_the_job(conn: Any, failure: Any, passed: int) -> None:
    def failing(times: int) -> list[Any]:
        return [*[fine] * passed, *[failure] * times]

    endures = driven(conn, {"1": [80]}, failing=failing(5), chunk_size=SIZE)
    assert (endures.report.jobs_done, endures.report.retries) == (1, 5)
    gives_up = driven(conn, {"1": [80]}, failing=failing(6), chunk_size=SIZE)
    assert gives_up.report.stop_reason is StopReason.FAILED
    assert (gives_up.report.retries, gives_up.report.jobs_released) == (5, 1)
    assert gives_up.log[-3:] == ["release 1", "claimable vpc", "stats vpc"]


def test_failures_not_in_a_row_do_not_stop_the_job(conn: Any) -> None:
    failing: list[Any] = [*[conflict] * 5, fine] * 4
    made = driven(conn, {"1": [30]}, failing=failing, chunk_size=SIZE)
    assert (made.report.jobs_done, made.report.retries) == (1, 20)


def test_longest_sleep_doubles_after_each_conflict(conn: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("random.uniform", lambda _least, most: most)
    made = driven(conn, {"1": [80]}, failing=[conflict] * 5, chunk_size=SIZE)
    rests = [
        ask.seconds for ask, texts in zip(made.asked, made.log, strict=True) if texts == "sleep"
    ]
    assert len(rests) == 5
    assert all(later == 2 * sooner for sooner, later in pairwise(rests))


def test_timeout_of_the_final_batch_doubles_after_each_timeout(conn: Any) -> None:
    failing: list[Any] = [fine, timeout, timeout, timeout]
    made = driven(conn, {"1": [80]}, failing=failing, chunk_size=SIZE, timeout=2.0)
    steps = [
        ask.timeout for ask, texts in zip(made.asked, made.log, strict=True) if texts == "finish 1"
    ]
    assert steps == [2, 4, 8, 16]


def test_lost_answer_of_a_last_chunk_ends_its_stage(conn: Any) -> None:
    """The next stage starts with the initial size, however this one was found to be empty."""
    failing: list[Any] = [fine, fine, lost(done=True)]
    size = ChunkSize(minimum=1, initial=100, maximum=1_000)
    made = driven(conn, {"1": [400, 400]}, failing=failing, chunk_size=size)
    assert made.of_job[:5] == [
        *["chunk 1 100", "chunk 1 200", "chunk 1 400", "get 1"],
        "chunk 1 100",
    ]


def test_job_rejected_by_a_constraint_too_often_is_stuck(conn: Any) -> None:
    made = driven(conn, {"1": [80], "2": [20]}, failing=[integrity] * 4, chunk_size=SIZE)
    assert made.of_job[:8] == ["chunk 1 100", "restart 1"] * 4
    assert (made.report.jobs_stuck, made.report.jobs_done) == (1, 1)


STEPS = ["chunk 1 100", "finish 1"]
WHERE = ["other_versions vpc", "claimable vpc", "estimate", "claim 1", *STEPS, "stats vpc"]


@pytest.mark.parametrize("where", WHERE)
def test_database_error_stops_the_worker_and_is_not_raised(conn: Any, where: str) -> None:
    """No connection in a pool, say."""

    def broken(texts: str) -> None:
        if texts == where:
            raise psycopg.OperationalError("no connection")

    made = driven(conn, {"1": [80]}, chunk_size=SIZE, meddle=broken)
    if where == "stats vpc":  # all is done by then
        assert made.report.stop_reason is StopReason.EXHAUSTED
        return
    assert (made.report.stop_reason, made.report.detail) == (StopReason.FAILED, "no connection")
    claimed = where in STEPS
    assert made.log[-2:] == ["release 1" if claimed else where, "stats vpc"]


@pytest.mark.parametrize("where", [*WHERE, "throttle", "sleep"])
def test_other_error_is_raised_after_the_job_is_released(conn: Any, where: str) -> None:
    texts = list[str]()

    def broken(words: str) -> None:
        texts.append(words)
        if words == where:
            raise ZeroDivisionError

    options: Any = {"chunk_size": SIZE, "throttles": [lambda: None], "pause_ratio": 1.0}
    with pytest.raises(ZeroDivisionError):
        driven(conn, {"1": [80]}, meddle=broken, **options)
    assert texts[-1] == ("release 1" if where in {*STEPS, "throttle", "sleep"} else where)


FAILURES = st.sampled_from(
    [conflict, timeout, integrity, denied, cut, lease_lost, lost(done=True), lost(done=False)]
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from("1234"), st.lists(st.integers(0, 250), min_size=2, max_size=2)),
    st.lists(FAILURES | st.just(fine), max_size=40),
    st.integers(0, 20),
)
def test_any_failures_end_the_worker_and_count_each_row_once(
    conn: Any, left: dict[str, list[int]], failing: list[Any], chunks: int
) -> None:
    budget = Budget(chunks=chunks, seconds=math.inf)
    report = driven(conn, left, failing=failing, chunk_size=SIZE, budget=budget).report
    deleted = {
        table: sum(rows[n] for rows in left.values())
        - conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for n, table in enumerate(("rule0", "rule1"))
    }
    assert report.rows_by_table == +Counter(deleted)
    assert report.rows == sum(deleted.values())
    assert report.chunks == report.chunks_by_table.total() <= chunks
    jobs = conn.execute("SELECT phase, rows_done FROM bulk_job").fetchall()
    assert sum(rows for _, rows in jobs) == report.rows
    phases = [phase for phase, _ in jobs]
    assert (report.jobs_done, report.jobs_stuck) == (phases.count("done"), phases.count("stuck"))
    assert report.jobs_unfinished == phases.count("active")
    if report.stop_reason is StopReason.EXHAUSTED:
        assert report.jobs_done + report.jobs_stuck + report.leases_lost == len(phases)
