# SPDX-License-Identifier: MIT
"""Deletes in the order of the heap: block by block, and what moves meanwhile is found at the end.

Races are forced by locks: a session holds a row until the server shows another one waiting.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from batchq import run, sql
from batchq.bulk import Budget, ChildDelete, FenceBroken
from batchq.bulk.errors import LeaseLost
from batchq.language.shape import Shape
from batchq.language.sql_template import sql_template
from batchq.language.statement import Statement
from batchq.result import Failed, Ok, attempt
from tests.support.lock_waits import Race

LEASE = timedelta(minutes=2)
EXPLAIN = sql_template("EXPLAIN {chunk}")


@pytest.fixture
def begun(heap: Any) -> Any:
    """Its first two chunks are deleted."""
    heap.resume(budget=Budget(chunks=2))
    assert heap.next_block() > 1
    return heap


def finished(estate: Any) -> int:
    """Finish the job, and return how often it was restarted."""
    assert estate.resume().jobs_done == 1
    return estate.job("restarts")


def test_each_worker_continues_at_the_block_of_the_last_chunk(heap: Any) -> None:
    seen: list[int] = []
    while heap.job("phase") == "active":
        before = heap.left()
        heap.resume(budget=Budget(chunks=1))
        if heap.job("cursor") is None:
            break
        seen.append(heap.next_block())
        assert heap.blocks()[0] == seen[-1]
        assert 0 < before - heap.left() <= heap.step
    assert seen == [seen[0] * n for n in range(1, len(seen) + 1)]
    assert len(seen) > 3
    heap.resume()
    heap.assert_deleted()
    assert heap.job("restarts") == 0


def test_chunk_that_is_rolled_back_leaves_the_cursor(begun: Any) -> None:
    block, left = begun.next_block(), begun.left()
    job = begun.claimed()
    begun.conn.execute("UPDATE bulk_job SET epoch = epoch + 1")  # another worker has claimed it
    answer = attempt(begun.conn, begun.tree.chunk(job, begun.step, LEASE))
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, LeaseLost)
    assert (begun.next_block(), begun.left()) == (block, left)
    begun.end_lease()
    assert finished(begun) == 0
    begun.assert_deleted()


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_chunk_reads_its_blocks_and_no_index(begun: Any, mode: str) -> None:
    """Most parents have one row, so the planner would find this one's by the index of all."""
    begun.conn.execute(f"SET plan_cache_mode = {mode}")
    chunk = begun.tree.chunk(begun.claimed(), 20_000, LEASE)
    explain = EXPLAIN.fill(chunk=Statement(Shape(chunk._shape.source), chunk._values))
    plan = "\n".join(line for (line,) in run(begun.conn, explain.all(tuple)))
    assert "Tid Range Scan on rule" in plan
    assert "using rule_" not in plan


def test_restored_parent_keeps_what_is_left(begun: Any) -> None:
    left = begun.left()
    begun.conn.execute("UPDATE vpc SET time_deleted = NULL, rcgen = rcgen + 1 WHERE id = 1")
    assert "was restored" in begun.stuck(begun.resume())
    assert begun.left() == left


@pytest.mark.parametrize("restore", [True, False], ids=["committed", "rolled back"])
def test_chunk_waits_for_a_restore(begun: Any, racing: Race, restore: bool) -> None:
    job, left = begun.claimed(), begun.left()
    restoring = sql("UPDATE vpc SET time_deleted = NULL, rcgen = rcgen + 1 WHERE id = 1")
    answer = racing.run(restoring, begun.tree.chunk(job, begun.step, LEASE), rollback=not restore)
    if restore:
        assert isinstance(answer, Failed)
        assert isinstance(answer.error, FenceBroken)
        assert begun.left() == left
    else:
        assert isinstance(answer, Ok)
        assert begun.left() == left - answer.value.rows < left


# -- rows that move --------------------------------------------------------------------------------


def test_row_that_is_updated_in_its_block_is_deleted(begun: Any, racing: Race) -> None:
    job, block = begun.claimed(), begun.next_block()
    begun.conn.execute("DELETE FROM rule WHERE name = %s", [begun.key_in(block)])
    begun.conn.execute("VACUUM rule")  # there is room for another version
    key = begun.key_in(block)
    updating = sql("UPDATE rule SET id = -1 WHERE name = %(key)s", key=key)
    answer = racing.run(updating, begun.tree.chunk(job, begun.step, LEASE))
    assert isinstance(answer, Ok)
    assert begun.one("SELECT count(*) FROM rule WHERE id = -1") == 0
    begun.end_lease()
    assert finished(begun) == 0
    begun.assert_deleted(begun.rows - 1)


def test_row_that_an_update_moves_before_the_cursor_is_found_at_the_end(begun: Any) -> None:
    begun.conn.execute("VACUUM rule")  # the first blocks have room
    key = begun.key_in(begun.blocks()[1] - 1)
    begun.conn.execute("UPDATE rule SET name = name || repeat('x', 500) WHERE name = %s", [key])
    assert begun.blocks()[0] < begun.next_block()
    assert finished(begun) == 1
    begun.assert_deleted()


def test_row_that_moves_while_a_chunk_waits_for_it_is_deleted_once(
    begun: Any, racing: Race
) -> None:
    job, key = begun.claimed(), begun.key_in(begun.next_block())
    begun.conn.execute("VACUUM rule")
    moving = sql("UPDATE rule SET name = name || repeat('x', 500) WHERE name = %(key)s", key=key)
    assert isinstance(racing.run(moving, begun.tree.chunk(job, begun.step, LEASE)), Ok)
    begun.end_lease()
    begun.resume()
    begun.assert_deleted()


def test_row_that_gets_another_parent_while_a_chunk_waits_stays(begun: Any, racing: Race) -> None:
    job, key = begun.claimed(), begun.key_in(begun.next_block())
    leaving = sql("UPDATE rule SET vpc_id = 2 WHERE name = %(key)s", key=key)
    assert isinstance(racing.run(leaving, begun.tree.chunk(job, begun.step, LEASE)), Ok)
    begun.end_lease()
    begun.resume()
    assert begun.one("SELECT vpc_id FROM rule WHERE name = %s", key) == 2
    begun.conn.execute("DELETE FROM rule WHERE name = %s", [key])
    begun.assert_deleted(begun.rows - 1)


def test_row_that_is_inserted_before_the_cursor_is_found_at_the_end(begun: Any) -> None:
    begun.conn.execute("VACUUM rule")
    begun.conn.execute("INSERT INTO rule VALUES (-1, 1, 'new')")
    assert begun.blocks()[0] < begun.next_block()
    assert finished(begun) == 1
    begun.assert_deleted(begun.rows + 1)


@pytest.mark.parametrize("command", ["VACUUM FULL rule", "CLUSTER rule USING rule_vpc_id_name_key"])
def test_rows_of_a_rewritten_table_are_found_at_the_end(begun: Any, command: str) -> None:
    begun.conn.execute(command)  # type: ignore[arg-type]
    assert begun.blocks()[0] < begun.next_block()
    assert finished(begun) == 1
    begun.assert_deleted()


def test_rows_that_a_trigger_keeps_make_the_job_stuck(begun: Any) -> None:
    begun.conn.execute(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TRIGGER keep BEFORE DELETE ON rule FOR EACH ROW EXECUTE FUNCTION keep()"
    )
    left = begun.left()
    assert "children are left: rule" in begun.stuck(begun.resume())
    assert begun.left() == left
    begun.assert_exact()


# -- locked rows -----------------------------------------------------------------------------------


def test_locked_row_is_skipped_and_found_in_the_order_of_the_key(begun: Any, connect: Any) -> None:
    job, key = begun.claimed(), begun.key_in(begun.next_block())
    chunk = begun.tree.chunk(job, begun.step, LEASE, skip_locked=True)
    with connect() as holder, holder.transaction():
        holder.execute("SELECT FROM rule WHERE name = %s FOR UPDATE", [key])
        done = run(begun.conn, chunk)
    assert done.skipped
    assert begun.job("skipped_locked")
    assert begun.one("SELECT count(*) FROM rule WHERE name = %s", key) == 1
    assert begun.blocks()[0] < begun.next_block()
    begun.end_lease()
    assert finished(begun) == 0
    begun.assert_deleted()


def test_both_forms_of_a_chunk_delete_the_same_rows(begun: Any) -> None:
    job, rows = begun.claimed(), []
    for skip_locked in (True, False):
        with begun.conn.transaction(force_rollback=True):
            chunk = begun.tree.chunk(job, begun.step, LEASE, skip_locked=skip_locked)
            done = run(begun.conn, chunk, nested=True)
            rows.append((done.rows, done.cursor, done.skipped, begun.blocks()[0]))
    assert rows[0] == rows[1]
    assert rows[0][2] is False


# -- another version of the program ----------------------------------------------------------------


def test_another_order_key_does_not_matter(begun: Any) -> None:
    child = ChildDelete(relation=begun.rules, order="id")
    begun.tree = evolve(begun.tree, children=[child])
    assert finished(begun) == 0
    begun.assert_deleted()


def test_job_of_a_stage_that_now_updates_is_stuck(begun: Any) -> None:
    child = ChildDelete(relation=begun.rules, order="name", set={"vpc_id": 2})
    begun.tree = evolve(begun.tree, children=[child])
    left = begun.left()
    expected = "the order key of the job was rule (ctid), and is rule (name) now"
    assert expected in begun.stuck(begun.resume())
    assert begun.left() == left
