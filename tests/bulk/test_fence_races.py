# SPDX-License-Identifier: MIT
"""Chunks and restores at the same time: one waits for the other.

Races are forced by locks: a session holds a row until the server shows another one waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from batchq import delete, sql
from batchq.bulk import Budget, FenceBroken
from batchq.result import Failed, Ok, attempt
from tests.support.lock_waits import Race, until_waits

LEASE = timedelta(minutes=2)
RESTORED = "UPDATE vpc SET time_deleted = NULL, rcgen = rcgen + 1 WHERE id = 1"
MODES = ["force_custom_plan", "force_generic_plan"]


@pytest.mark.parametrize("restore", [True, False], ids=["committed", "rolled back"])
def test_chunk_waits_for_a_restore(fenced: Any, racing: Race, restore: bool) -> None:
    job = fenced.claimed()
    restoring = sql("UPDATE vpc SET time_deleted = NULL, rcgen = rcgen + 1 WHERE id = 1")
    answer = racing.run(restoring, fenced.tree.chunk(job, 300, LEASE), rollback=not restore)
    if restore:
        assert isinstance(answer, Failed)
        assert isinstance(answer.error, FenceBroken)
        assert (fenced.left(), fenced.job("seq, stage")) == (1_000, (0, 0))
    else:
        assert isinstance(answer, Ok)
        assert fenced.left() == 700


def test_chunk_waits_for_a_delete_of_the_parent(fenced: Any, racing: Race) -> None:
    job = fenced.claimed()
    removing = delete("vpc", where={"id": 1})
    answer = racing.run(removing, fenced.tree.chunk(job, 300, LEASE))
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, FenceBroken)
    assert fenced.left() == 1_000


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("begins", ["while a chunk waits", "before", "while the end waits"])
def test_restore_keeps_every_row_that_it_sees(
    fenced: Any, connect: Callable[..., Any], begins: str, mode: str
) -> None:
    """A chunk has locked the parent before it waits for a child: a restore waits for the chunk.

    One that is under way when the chunk begins makes it wait at the parent, with no child locked.
    """
    holder, restorer, worker = connect(), connect(), connect()
    worker.execute(f"SET plan_cache_mode = {mode}")
    if begins == "while the end waits":
        fenced.resume(worker, budget=Budget(chunks=4))
    job = fenced.claimed()
    with ThreadPoolExecutor(2) as threads:
        try:
            holder.execute("BEGIN")
            if begins == "while the end waits":
                holder.execute("SELECT FROM bulk_job FOR UPDATE")
                work: Future[Any] = threads.submit(attempt, worker, fenced.tree.finish(job))
            else:
                holder.execute("SELECT FROM rule WHERE id = 150 FOR UPDATE")
            if begins == "before":
                restorer.execute("BEGIN")
                restorer.execute(RESTORED)
            if begins != "while the end waits":
                work = threads.submit(attempt, worker, fenced.tree.chunk(job, 300, LEASE))
            until_waits(fenced.conn, worker.info.backend_pid, work)
            if begins == "before":
                # It waits for the restore, not for the child: that is the restore's to touch.
                found = restorer.execute(
                    "UPDATE rule SET name = 'kept' WHERE vpc_id = 1 AND id < 150"
                )
                assert found.rowcount == 149
                restorer.execute("COMMIT")
                holder.execute("ROLLBACK")
            else:
                restore = threads.submit(
                    restorer.execute,
                    RESTORED + " RETURNING (SELECT count(*) FROM rule WHERE vpc_id = 1)",
                )
                until_waits(fenced.conn, restorer.info.backend_pid, restore)
                holder.execute("ROLLBACK")
        finally:
            holder.close()
    answer = work.result()
    if begins == "before":
        assert isinstance(answer, Failed)
        assert isinstance(answer.error, FenceBroken)
        assert fenced.left() == 1_000
    elif begins == "while a chunk waits":
        assert isinstance(answer, Ok)
        assert restore.result().rowcount == 1
        assert fenced.left() == 700
        fenced.end_lease()
        assert "was restored" in fenced.stuck(fenced.resume())
        assert fenced.left() == 700
    else:
        assert isinstance(answer, Ok)
        assert restore.result().rowcount == 0  # there is nothing left to bring back


def test_restore_that_waits_for_the_final_check_finds_no_parent(fenced: Any, racing: Race) -> None:
    fenced.resume(budget=Budget(chunks=4))
    job = fenced.claimed()
    restoring = sql("UPDATE vpc SET time_deleted = NULL WHERE id = 1").count()
    assert racing.run(fenced.tree.finish(job), restoring) == Ok(0)


def test_final_check_waits_for_a_restore_and_keeps_the_parent(fenced: Any, racing: Race) -> None:
    fenced.resume(budget=Budget(chunks=4))
    job = fenced.claimed()
    answer = racing.run(
        sql("UPDATE vpc SET time_deleted = NULL WHERE id = 1"), fenced.tree.finish(job)
    )
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, FenceBroken)
    assert fenced.one("SELECT count(*) FROM vpc WHERE id = 1") == 1


def test_second_fence_of_a_parent_fails_and_leaves_one_job(estate: Any, racing: Race) -> None:
    first, second = (estate.tree.fence(1, missing=estate.missing()) for _ in range(2))
    answer = racing.run(first, second)
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, estate.missing)
    assert estate.one("SELECT count(*) FROM bulk_job") == 1


@pytest.mark.parametrize("mode", MODES)
def test_chunk_of_another_parent_does_not_wait(
    fenced: Any, connect: Callable[..., Any], mode: str
) -> None:
    """Only the parent's own row is locked, and found by its index."""
    holder, worker = connect(), connect()
    worker.execute(f"SET plan_cache_mode = {mode}")
    holder.execute("BEGIN")
    holder.execute("UPDATE vpc SET rcgen = rcgen + 1 WHERE id = 2")
    holder.execute("UPDATE rule SET name = 'held' WHERE vpc_id = 2")
    fenced.resume(worker)
    fenced.assert_deleted()
    holder.execute("ROLLBACK")
