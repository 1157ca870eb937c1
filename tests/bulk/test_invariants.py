# SPDX-License-Identifier: MIT
"""What is always true of a delete in chunks: visibility, ownership, counts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

import batchq
from batchq.bulk import Budget, Report, StopReason

At = Callable[[int, Callable[[], object]], Callable[[], None]]


# -- who sees what ---------------------------------------------------------------------------------


def test_writer_after_the_fence_gets_an_error(
    fenced: Any, connect: Callable[..., Any], at: At
) -> None:
    writer = connect()

    def add() -> None:
        rule = batchq.insert("rule", {"id": 5_000, "vpc_id": 1, "name": "late"})
        with pytest.raises(fenced.missing):
            batchq.run(writer, fenced.rules.add(1, rule, missing=fenced.missing()))

    report = fenced.resume(throttles=[at(n, add) for n in (1, 2, 5)])
    assert report.rows_after_fence == 0
    fenced.assert_deleted()


@pytest.mark.parametrize("key", [0, 5_000], ids=["before the cursor", "ahead of it"])
def test_row_inserted_after_the_fence_is_deleted_and_counted(
    fenced: Any, connect: Callable[..., Any], at: At, key: int
) -> None:
    writer = connect()
    late = at(5, lambda: writer.execute("INSERT INTO rule VALUES (%s, 1)", [key]))
    report = fenced.resume(throttles=[late])
    assert (report.jobs_done, report.rows_after_fence, report.rows) == (1, 1, 1_001)
    fenced.assert_deleted(rows=1_001)


def test_job_is_stuck_when_rows_keep_coming_and_names_them(
    fenced: Any, connect: Callable[..., Any]
) -> None:
    writer = connect()
    keys = iter(range(5_000, 6_000))

    def insert() -> None:
        if not fenced.left():
            writer.execute("INSERT INTO rule VALUES (%s, 1)", [next(keys)])

    report = fenced.resume(throttles=[insert])
    assert (report.stop_reason, report.jobs_stuck, report.jobs_done) == (StopReason.EXHAUSTED, 1, 0)
    phase, error, rows, lease = fenced.job("phase, last_error, rows_done, lease_until")
    assert (phase, rows, lease) == ("stuck", report.rows, None)
    assert "rule" in error
    assert str(next(keys) - 1) in error
    assert fenced.one("SELECT count(*) FROM vpc WHERE id = 1") == 1
    assert fenced.resume() == Report(all_jobs_stuck=1)  # no worker claims it again


# -- who owns what ---------------------------------------------------------------------------------


@pytest.mark.parametrize("when", [1, 3, 5], ids=["first chunk", "a chunk", "final batch"])
@pytest.mark.parametrize("continues", [False, True], ids=["idle", "active"])
def test_worker_that_lost_the_lease_deletes_nothing(
    fenced: Any, connect: Callable[..., Any], at: At, when: int, continues: bool
) -> None:
    first = connect()
    second: list[Report] = []

    def take_away() -> None:
        fenced.end_lease()
        second.append(fenced.resume(owner="second", budget=Budget(chunks=1 if continues else 0)))

        fenced.conn.execute("UPDATE bulk_job SET lease_until = 'infinity' WHERE phase = 'active'")

    report = fenced.resume(first, owner="first", throttles=[at(when, take_away)])
    assert report.leases_lost == 1
    assert report.rows == min(300 * (when - 1), 1_000)
    assert report.rows + second[0].rows + fenced.left() == 1_000
    fenced.end_lease()
    assert fenced.resume().rows == 1_000 - report.rows - second[0].rows
    fenced.assert_deleted()


UNKNOWN = (
    "INSERT INTO bulk_job (id, task, version, root, generation, created_at) SELECT "
    "gen_random_uuid(), 'vpc', 99, 'x' || n, 1, now() - interval '1 day' FROM generate_series"
)


def test_job_of_another_version_is_skipped_and_unchanged(fenced: Any) -> None:
    fenced.conn.execute("UPDATE bulk_job SET version = 99")
    before = fenced.job("bulk_job::text")
    report = fenced.resume()
    assert (report.stop_reason, report.jobs_skipped, report.chunks) == (StopReason.EXHAUSTED, 1, 0)
    assert (fenced.job("bulk_job::text"), fenced.left()) == (before, 1_000)


def test_jobs_of_another_version_do_not_block_others(fenced: Any) -> None:
    """However many of them there are, and older than the one that can be done."""
    fenced.conn.execute(f"{UNKNOWN}(1, 20) n")
    report = fenced.resume()
    assert (report.jobs_done, report.jobs_skipped) == (1, 20)
    fenced.assert_deleted()


# -- how much, and how politely --------------------------------------------------------------------


def test_lock_held_for_ever_does_not_block_the_worker(
    fenced: Any, connect: Callable[..., Any]
) -> None:
    """Failures count as chunks that were tried: a budget of chunks ends them."""
    holder = connect()
    holder.execute("BEGIN")
    holder.execute("SELECT FROM rule WHERE id = 1 FOR UPDATE")
    asked: list[None] = []

    def throttle() -> str | None:
        asked.append(None)
        return "this went on for ever" if len(asked) > 20 else None

    budget = Budget(chunks=5, seconds=math.inf)
    report = fenced.resume(budget=budget, timeout=0.001, throttles=[throttle])
    assert report.stop_reason is not StopReason.THROTTLED
    fenced.assert_exact()
