# SPDX-License-Identifier: MIT
"""Order keys that change while a job is under way: no row is missed, and the job is stuck."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from batchq import run
from batchq.bulk import (
    Budget,
    ChildDelete,
    StopReason,
)
from tests.support.order_key_items import (
    CHILDREN,
    REWRITE,
    ROWS,
    TREE,
    WORKS,
    due,
    ordered,
)
from tests.support.vpcs import VPC, begin, go_on, job_of

pytestmark = pytest.mark.usefixtures("item_table")


# -- what becomes none on the way ------------------------------------------------------------------


@pytest.mark.parametrize("when", range(1, 12))
@pytest.mark.parametrize("rows", [3, 4])
def test_null_inserted_during_a_scan_is_not_missed(
    conn: Any, connect: Callable[..., Any], at: Any, when: int, rows: int
) -> None:
    """At any chunk of the two passes, and before the end of either."""
    conn.execute("ALTER TABLE item ADD k int; UPDATE item SET k = id")
    conn.execute("ALTER TABLE item ALTER k SET NOT NULL")
    other = connect()

    def allow() -> None:
        other.execute("ALTER TABLE item ALTER k DROP NOT NULL")
        other.execute("INSERT INTO item (id, k) VALUES (100, NULL), (101, 5)")

    work = ordered(REWRITE, "k", "id")
    begin(conn, work)
    report = go_on(conn, work, rows, throttles=[at(when, allow)])
    if conn.execute("SELECT count(*) FROM item WHERE id = 100").fetchone() == (0,):
        assert (report.jobs_done, due(conn)) == (1, 0)
        return
    assert (report.jobs_done, report.jobs_stuck) == (0, 1)
    assert "item.k: it is part of the order key and may be NULL" in job_of(conn, "last_error")
    conn.execute("UPDATE item SET k = id WHERE k IS NULL; ALTER TABLE item ALTER k SET NOT NULL")
    conn.execute("SELECT 1")
    (job,) = run(conn, work.jobs.all(work.name))
    assert run(conn, work.jobs.retry(job.id)) == 1
    assert go_on(conn, work, rows).jobs_done == 1
    assert due(conn) == 0


TYPES = {
    "to text": ("int", "text", "id", "k::text"),
    "to int": ("text", "int", "id::text", "k::int"),
    "to one of no such texts": ("text", "int", "'k' || id", "id"),
    "to bigint": ("int", "bigint", "id", "k"),
}


@WORKS
@pytest.mark.parametrize("change", TYPES)
def test_type_changed_during_a_scan_starts_no_chunk_in_another_order(
    conn: Any, work: Any, change: str
) -> None:
    """Of texts '11' comes before '2': what comes after a cursor is not what came after it."""
    old, new, value, using = TYPES[change]
    conn.execute(f"ALTER TABLE item ADD k {old}; UPDATE item SET k = {value}")
    conn.execute("ALTER TABLE item ALTER k SET NOT NULL; CREATE INDEX ON item (vpc_id, k)")
    work = ordered(work, "k")
    job = begin(conn, work)
    go_on(conn, work, 3, budget=Budget(chunks=1))
    if change == "to one of no such texts":
        conn.execute("ALTER TABLE item DROP k; ALTER TABLE item ADD k int; UPDATE item SET k = id")
        conn.execute("ALTER TABLE item ALTER k SET NOT NULL")
    else:
        conn.execute(f"ALTER TABLE item ALTER k TYPE {new} USING {using}")
    report = go_on(conn, work, 3)
    assert (report.rows, report.jobs_done) == (0, 0)
    phase, error, rows = job_of(conn, "phase, last_error, rows_done")
    assert rows == 3
    if change == "to one of no such texts":
        assert (phase, report.stop_reason) == ("active", StopReason.FAILED)
    else:
        assert (phase, report.jobs_stuck) == ("stuck", 1)
        assert "columns had other types" in error
    assert "retry" in error
    assert run(conn, work.jobs.retry(job)) == 1
    assert go_on(conn, work, 3).jobs_done == 1
    assert due(conn) == 0


def test_null_at_the_end_of_a_page_is_found(
    conn: Any, connect: Callable[..., Any], at: Any
) -> None:
    """The row is up to no last row, itself, and after no cursor: it would never be found."""
    conn.execute("ALTER TABLE item ADD k int; UPDATE item SET k = id, v = 2")
    conn.execute("ALTER TABLE item ALTER k SET NOT NULL")
    other = connect()

    def allow() -> None:
        other.execute("ALTER TABLE item ALTER k DROP NOT NULL")
        other.execute("UPDATE item SET k = NULL, v = 1 WHERE id = 6")

    def forbid() -> None:
        other.execute("UPDATE item SET k = id")
        other.execute("ALTER TABLE item ALTER k SET NOT NULL")

    work = ordered(REWRITE, "id", "k")
    begin(conn, work)
    report = go_on(conn, work, 3, throttles=[at(2, allow), at(3, forbid)])
    assert (report.jobs_done, report.jobs_stuck, report.chunks) == (0, 1, 1)
    assert "item.k: it is part of the order key and may be NULL" in job_of(conn, "last_error")


# -- another version of the program ----------------------------------------------------------------

OTHERS = {
    "another column": (("n",), ("id",)),
    "one more": (("id",), ("id", "n")),
    "one less": (("id", "n"), ("id",)),
    "in another order": (("n", "id"), ("id", "n")),
}


@WORKS
@pytest.mark.parametrize("change", OTHERS)
def test_changed_order_key_makes_the_job_stuck_with_a_remedy(
    conn: Any, work: Any, change: str
) -> None:
    conn.execute("ALTER TABLE item ALTER n SET NOT NULL")
    old, new = (ordered(work, *order) for order in OTHERS[change])
    job = begin(conn, old)
    go_on(conn, old, 3, budget=Budget(chunks=1))
    report = go_on(conn, new, 3)
    phase, error, rows = job_of(conn, "phase, last_error, rows_done")
    assert (report.rows, report.jobs_stuck, phase, rows) == (0, 1, "stuck", 3)
    was, now = (", ".join(order) for order in OTHERS[change])
    assert f"the order key of the job was item ({was}), and is item ({now}) now" in error
    assert f"retry(UUID('{job}'))" in error
    assert run(conn, work.jobs.retry(job)) == 1
    report = go_on(conn, new, 3)
    assert (report.rows, report.jobs_done) == (ROWS - 3, 1)
    assert due(conn) == 0


def test_backfill_of_another_table_by_the_same_name_is_stuck(conn: Any) -> None:
    """It would begin in the middle, find nothing there, and say that it is done."""
    conn.execute("CREATE TABLE item_2 (LIKE item INCLUDING ALL); INSERT INTO item_2 TABLE item")
    conn.execute("UPDATE item_2 SET v = 2 WHERE id > 3; UPDATE item SET v = 2")
    other = attrs.evolve(REWRITE, table="item_2")
    job = begin(conn, REWRITE)
    go_on(conn, REWRITE, 3, budget=Budget(chunks=1))
    assert go_on(conn, other, 3).jobs_stuck == 1
    assert "was item (id), and is item_2 (id) now" in job_of(conn, "last_error")
    run(conn, REWRITE.jobs.retry(job))
    report = go_on(conn, other, 3)
    assert (report.rows, report.jobs_done) == (3, 1)


def test_tree_with_fewer_stages_makes_the_job_stuck_with_a_remedy(conn: Any) -> None:
    conn.execute("CREATE TABLE more (LIKE item INCLUDING ALL); INSERT INTO more TABLE item")
    more = VPC.children("more", by="vpc_id", deleted_at=None)
    last = VPC.children("last", by="vpc_id", deleted_at=None)
    conn.execute("CREATE TABLE last (LIKE item INCLUDING ALL); INSERT INTO last TABLE item")
    children = [ChildDelete(relation=one) for one in (CHILDREN, more, last)]
    three = attrs.evolve(TREE, children=children)
    job = begin(conn, three)
    go_on(conn, three, rows=100, budget=Budget(chunks=2))
    conn.execute("DELETE FROM last")
    report = go_on(conn, TREE, 3)
    assert (report.jobs_stuck, report.rows) == (1, 0)
    assert "stage 3" in job_of(conn, "last_error")
    assert "adopt" in job_of(conn, "last_error")
    stuck = run(conn, TREE.jobs.get(job))
    assert stuck is not None
    assert run(conn, TREE.adopt(stuck)) == 1
    assert go_on(conn, TREE, 3).jobs_done == 1


def test_job_without_a_cursor_takes_a_changed_order_key(conn: Any) -> None:
    conn.execute("ALTER TABLE item ALTER n SET NOT NULL")
    begin(conn, REWRITE)
    assert go_on(conn, ordered(REWRITE, "n", "id"), 3).jobs_done == 1


def test_leased_job_is_not_restarted(conn: Any, connect: Any, at: Any) -> None:
    """Nor does a chunk that was on its way write down where it has come to."""
    job = begin(conn, REWRITE)
    other, received = connect(), []
    retry = at(2, lambda: received.append(run(other, REWRITE.jobs.retry(job))))
    assert go_on(conn, REWRITE, 3, throttles=[retry]).jobs_done == 1
    assert received == [0]
