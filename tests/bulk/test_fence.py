# SPDX-License-Identifier: MIT
"""A parent that is not as it was fenced: its children are kept, and the job says why."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from batchq import insert, run
from batchq.bulk import Budget, JobExists

LEASE = timedelta(minutes=2)
RESTORED = "UPDATE vpc SET time_deleted = NULL, rcgen = rcgen + 1 WHERE id = 1"
MODES = ["force_custom_plan", "force_generic_plan"]


@pytest.mark.parametrize("chunks", [0, 2, 4], ids=["before", "between", "after the last chunk"])
def test_restored_parent_keeps_its_children_and_can_be_fenced_again(
    fenced: Any, chunks: int
) -> None:
    """The way on that the job's own words give."""
    done = fenced.resume(budget=Budget(chunks=chunks)).rows
    fenced.conn.execute(RESTORED)
    rule = insert("rule", {"id": 5_000, "vpc_id": 1, "name": "new"})
    run(fenced.conn, fenced.rules.add(1, rule, missing=fenced.missing()))
    report = fenced.resume()
    detail = fenced.stuck(report)
    assert (report.rows, fenced.left()) == (0, 1_001 - done)
    assert "was restored" in detail
    assert "Jobs.abandon()" in detail

    job = fenced.job("id")
    with pytest.raises(JobExists, match=str(job)) as caught:
        fenced.fence()
    assert (caught.value.job, fenced.left()) == (job, 1_001 - done)
    assert fenced.one("SELECT time_deleted FROM vpc WHERE id = 1") is None
    assert run(fenced.conn, fenced.tree.jobs.abandon(job)) == 1
    fenced.fence()
    assert fenced.resume().rows == 1_001 - done
    assert fenced.left() == 0
    assert fenced.one("SELECT array_agg(phase ORDER BY phase) FROM bulk_job") == [
        "abandoned",
        "done",
    ]


def test_restored_parent_can_be_deleted_now_despite_its_job(
    fenced: Any,
) -> None:
    """Few children: no second job is needed. The first one finds that its parent was deleted."""
    fenced.resume(budget=Budget(chunks=2))
    fenced.conn.execute(RESTORED)
    assert run(fenced.conn, fenced.tree.delete_now(1, missing=fenced.missing())) == 400
    assert "row was deleted" in fenced.stuck(fenced.resume())


CHANGES = {
    "lives, its generation as it was": ("time_deleted = NULL", "was restored"),
    "lives": ("time_deleted = NULL, rcgen = rcgen + 1", "was restored"),
    "hidden at another generation": ("rcgen = rcgen + 1", "at generation 2 and not 1"),
    "has another key": ("id = 100", "row was deleted"),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("chunks", [0, 4], ids=["a chunk", "the end"])
def test_changed_parent_keeps_its_children_and_last_error_says_how(
    fenced: Any, connect: Callable[..., Any], change: str, chunks: int, mode: str
) -> None:
    """With plans of both kinds; a connection prepares what it sends again."""
    worker = connect()
    worker.execute(f"SET plan_cache_mode = {mode}")
    fenced.resume(worker, budget=Budget(chunks=chunks))
    left = fenced.left()
    sets, says = CHANGES[change]
    fenced.conn.execute(f"UPDATE vpc SET {sets} WHERE id = 1")
    report = fenced.resume(worker)
    assert says in fenced.stuck(report)
    assert (report.rows, fenced.left()) == (0, left)


def test_deleted_parent_leaves_its_children_and_a_stuck_job(fenced: Any) -> None:
    fenced.conn.execute("DELETE FROM vpc WHERE id = 1")
    assert "row was deleted" in fenced.stuck(fenced.resume())
    assert fenced.left() == 1_000


def test_job_retried_before_a_change_is_stuck_again(fenced: Any) -> None:
    fenced.conn.execute(RESTORED)
    for _ in range(2):
        assert "was restored" in fenced.stuck(fenced.resume())
        assert run(fenced.conn, fenced.tree.jobs.retry(fenced.job("id"))) == 1
    fenced.conn.execute("UPDATE vpc SET time_deleted = now(), rcgen = rcgen - 1 WHERE id = 1")
    fenced.resume()
    fenced.assert_deleted()


def test_parent_hidden_at_another_generation_can_be_adopted(fenced: Any) -> None:
    fenced.conn.execute("UPDATE vpc SET rcgen = rcgen + 1 WHERE id = 1")
    assert "Tree.adopt()" in fenced.stuck(fenced.resume())
    job = run(fenced.conn, fenced.tree.jobs.get(fenced.job("id")))
    assert [run(fenced.conn, fenced.tree.adopt(job)) for _ in range(2)] == [1, 0]
    fenced.resume()
    fenced.assert_deleted()


@pytest.mark.parametrize("state", ["waiting", "lives", "deleted", "tried again since"])
def test_adopt_takes_only_a_stuck_job_of_a_hidden_parent(fenced: Any, state: str) -> None:
    if state != "waiting":
        fenced.conn.execute("UPDATE vpc SET rcgen = rcgen + 1 WHERE id = 1")
        fenced.resume()
    job = run(fenced.conn, fenced.tree.jobs.get(fenced.job("id")))
    if state == "lives":
        fenced.conn.execute(RESTORED)
    elif state == "deleted":
        fenced.conn.execute("DELETE FROM vpc WHERE id = 1")
    elif state == "tried again since":
        run(fenced.conn, fenced.tree.jobs.retry(job.id))
        fenced.resume()
    assert run(fenced.conn, fenced.tree.adopt(job)) == 0
    assert fenced.left() == 1_000
