# SPDX-License-Identifier: MIT
"""The fence: no child is deleted unless the parent is as it was fenced, whatever comes between.

Races are forced by locks: a session holds a row until the server shows another one waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from batchq import delete, insert, run, sql
from batchq.bulk import Budget, FenceBroken, JobExists, Report
from batchq.result import Failed, Ok, attempt
from tests.support.lock_waits import Race, until_waits

LEASE = timedelta(minutes=2)
RESTORED = "UPDATE vpc SET time_deleted = NULL, rcgen = rcgen + 1 WHERE id = 1"
MODES = ["force_custom_plan", "force_generic_plan"]


def stuck(estate: Any, report: Report) -> str:
    """Why the one job is stuck, of which nothing went."""
    assert (report.jobs_stuck, report.jobs_done, report.detail) == (1, 0, "")
    phase, detail = estate.job("phase, last_error")
    assert phase == "stuck"
    return str(detail)


# -- a parent that is not as it was fenced ---------------------------------------------------------


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
    detail = stuck(fenced, report)
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
    assert "row was deleted" in stuck(fenced, fenced.resume())


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
    assert says in stuck(fenced, report)
    assert (report.rows, fenced.left()) == (0, left)


def test_deleted_parent_leaves_its_children_and_a_stuck_job(fenced: Any) -> None:
    fenced.conn.execute("DELETE FROM vpc WHERE id = 1")
    assert "row was deleted" in stuck(fenced, fenced.resume())
    assert fenced.left() == 1_000


def test_job_retried_before_a_change_is_stuck_again(fenced: Any) -> None:
    fenced.conn.execute(RESTORED)
    for _ in range(2):
        assert "was restored" in stuck(fenced, fenced.resume())
        assert run(fenced.conn, fenced.tree.jobs.retry(fenced.job("id"))) == 1
    fenced.conn.execute("UPDATE vpc SET time_deleted = now(), rcgen = rcgen - 1 WHERE id = 1")
    fenced.resume()
    fenced.assert_deleted()


def test_parent_hidden_at_another_generation_can_be_adopted(fenced: Any) -> None:
    fenced.conn.execute("UPDATE vpc SET rcgen = rcgen + 1 WHERE id = 1")
    assert "Tree.adopt()" in stuck(fenced, fenced.resume())
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


# -- another table of the same name ----------------------------------------------------------------

REPLACED = """
ALTER TABLE {0} RENAME TO {0}_old;
CREATE TABLE {0} (LIKE {0}_old INCLUDING ALL);
INSERT INTO {0} SELECT * FROM {0}_old;
"""


@pytest.mark.parametrize("table", ["vpc", "rule"])
@pytest.mark.parametrize("chunks", [0, 4], ids=["a chunk", "the end"])
def test_replaced_table_is_left_alone_until_adopted(
    fenced: Any, connect: Callable[..., Any], table: str, chunks: int
) -> None:
    """As after a dump and restore. A person confirms it by adopt()."""
    worker = connect()
    fenced.resume(worker, budget=Budget(chunks=chunks))
    left = fenced.left()
    fenced.conn.execute(REPLACED.format(table))
    report = fenced.resume(worker)
    detail = stuck(fenced, report)
    assert "other tables" in detail
    assert "Tree.adopt()" in detail
    assert (report.rows, fenced.left()) == (0, left)
    job = run(fenced.conn, fenced.tree.jobs.get(fenced.job("id")))
    assert run(fenced.conn, fenced.tree.adopt(job)) == 1
    fenced.resume(worker)
    fenced.assert_deleted()


@pytest.mark.parametrize("elsewhere", ["vpc", "rule", "vpc and rule"])
def test_other_search_path_deletes_nothing(
    fenced: Any, connect: Callable[..., Any], elsewhere: str
) -> None:
    """There the parent lives; or it is the same one, and the children are another's."""
    worker = connect()
    worker.execute("CREATE TEMPORARY TABLE any_table (id int)")  # that there is a schema of its own
    for table in elsewhere.split(" and "):
        worker.execute(f"CREATE TEMPORARY TABLE {table} (LIKE {table} INCLUDING ALL)")
    if "rule" in elsewhere:
        worker.execute("INSERT INTO rule VALUES (1, 1), (2, 1)")
    if "vpc" in elsewhere:
        worker.execute("INSERT INTO vpc VALUES (1, 1, now())")
    report = fenced.resume(worker)
    assert "another search path" in stuck(fenced, report)
    assert (report.rows, fenced.left()) == (0, 1_000)
    if "rule" in elsewhere:
        assert worker.execute("SELECT count(*) FROM rule").fetchone() == (2,)
    run(fenced.conn, fenced.tree.jobs.retry(fenced.job("id")))
    fenced.resume()
    fenced.assert_deleted()


def test_renamed_schema_is_the_same_and_its_replacement_is_not(
    fenced: Any, connect: Callable[..., Any]
) -> None:
    """A prepared statement resolves the name as well, to another table."""
    worker = connect()
    here = fenced.one("SELECT current_schema")
    fenced.resume(worker, budget=Budget(chunks=1))
    fenced.conn.execute(f"CREATE SCHEMA {here}_new")
    for table in ("vpc", "rule"):
        fenced.conn.execute(f"CREATE TABLE {here}_new.{table} (LIKE {here}.{table} INCLUDING ALL)")
    fenced.conn.execute(f"INSERT INTO {here}_new.vpc VALUES (1, 1, now())")
    fenced.conn.execute(f"INSERT INTO {here}_new.rule VALUES (1, 1)")
    fenced.conn.execute(f"ALTER TABLE {here}.bulk_job SET SCHEMA {here}_new")
    fenced.conn.execute(f"ALTER SCHEMA {here} RENAME TO {here}_old")
    fenced.conn.execute(f"ALTER SCHEMA {here}_new RENAME TO {here}")
    try:
        assert "other tables" in stuck(fenced, fenced.resume(worker))
        assert fenced.one("SELECT count(*) FROM rule") == 1
        assert fenced.one(f"SELECT count(*) FROM {here}_old.rule WHERE vpc_id = 1") == 700
        run(fenced.conn, fenced.tree.jobs.retry(fenced.job("id")))
    finally:
        fenced.conn.execute(f"ALTER SCHEMA {here} RENAME TO {here}_new")
        fenced.conn.execute(f"ALTER SCHEMA {here}_old RENAME TO {here}")
        fenced.conn.execute(f"ALTER TABLE {here}_new.bulk_job SET SCHEMA {here}")
        fenced.conn.execute(f"DROP SCHEMA {here}_new CASCADE")
    fenced.resume(worker)
    fenced.assert_deleted()


@pytest.mark.parametrize("what", ["a chunk", "the end"])
def test_schema_renamed_between_two_look_ups_is_found(
    fenced: Any, connect: Callable[..., Any], what: str
) -> None:
    """No lock prevents it: the parent was looked up before, the children are after."""
    holder, worker = connect(), connect()
    here = fenced.one("SELECT current_schema")
    if what == "the end":
        fenced.resume(worker, budget=Budget(chunks=4))
    left, job = fenced.left(), fenced.claimed()
    step = fenced.tree.finish(job) if what == "the end" else fenced.tree.chunk(job, 300, LEASE)
    fenced.conn.execute(f"CREATE SCHEMA {here}_new")
    for table in ("vpc", "rule"):
        fenced.conn.execute(f"CREATE TABLE {here}_new.{table} (LIKE {here}.{table} INCLUDING ALL)")
    fenced.conn.execute(f"INSERT INTO {here}_new.vpc VALUES (1, 1)")
    fenced.conn.execute(f"CREATE TABLE {here}_new.bulk_job (LIKE {here}.bulk_job INCLUDING ALL)")
    fenced.conn.execute(f"INSERT INTO {here}_new.bulk_job SELECT * FROM {here}.bulk_job")
    if what == "a chunk":
        fenced.conn.execute(f"INSERT INTO {here}_new.rule SELECT * FROM {here}.rule")
    swap = (
        f"ALTER SCHEMA {here} RENAME TO {here}_old; ALTER SCHEMA {here}_new RENAME TO {here};"
        f"ALTER SCHEMA {here}_old RENAME TO {here}_new"
    )
    with ThreadPoolExecutor(1) as threads:
        try:
            holder.execute("BEGIN")
            holder.execute("LOCK TABLE rule")
            work = threads.submit(attempt, worker, step)
            until_waits(fenced.conn, worker.info.backend_pid, work)
            fenced.conn.execute(swap)
        finally:
            holder.close()
    answer = work.result()
    elsewhere = "SELECT (SELECT count(*) FROM vpc), (SELECT count(*) FROM rule WHERE vpc_id = 1)"
    seen = fenced.one(elsewhere)
    fenced.conn.execute(swap)
    fenced.conn.execute(f"DROP SCHEMA {here}_new CASCADE")
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, FenceBroken)
    assert seen == (1, 1_000 if what == "a chunk" else 0)
    assert fenced.left() == left
    fenced.end_lease()
    fenced.resume()
    fenced.assert_deleted()


@pytest.mark.parametrize("table", ["vpc", "rule"])
def test_partitioned_table_is_one_table(
    estate: Any, conn: psycopg.Connection[Any], table: str
) -> None:
    """Whichever of its partitions a row is in."""
    by = "id" if table == "vpc" else "vpc_id"
    keys = "PRIMARY KEY (id)" if table == "vpc" else "UNIQUE (vpc_id, id)"
    conn.execute(f"ALTER TABLE {table} RENAME TO plain")
    conn.execute(f"CREATE TABLE {table} (LIKE plain INCLUDING DEFAULTS) PARTITION BY HASH ({by})")
    conn.execute(f"ALTER TABLE {table} ADD {keys}")
    for n in range(3):
        conn.execute(
            f"CREATE TABLE {table}_{n} PARTITION OF {table} "
            f"FOR VALUES WITH (MODULUS 3, REMAINDER {n})"
        )
    conn.execute(f"INSERT INTO {table} SELECT * FROM plain")
    estate.fence()
    estate.resume()
    estate.assert_deleted()


# -- races -----------------------------------------------------------------------------------------


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
        assert "was restored" in stuck(fenced, fenced.resume())
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
