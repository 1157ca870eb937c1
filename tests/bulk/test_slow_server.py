# SPDX-License-Identifier: MIT
"""A server that becomes slow, and dead rows that VACUUM may not remove: chunks stay bounded.

No assertion here is about how fast anything is. A row is made to cost so much that the server
sleeps for it, and what is compared is rows times cost: what a chunk took at the least, whatever
else the machine did meanwhile. And dead rows cost pages, which the server counts.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest

import batchq
from batchq.bulk import Budget, ChunkSize, DeleteTree, Progress, Report
from batchq.bulk.progress.events import Event
from batchq.language.shape import Shape
from batchq.language.sql_template import sql_template
from batchq.language.statement import Statement

# -- slower by and by ------------------------------------------------------------------------------

SLEEPS = """
CREATE TABLE slow (seconds float8);
INSERT INTO slow VALUES (0);
CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF (SELECT seconds FROM slow) > 0 THEN PERFORM pg_sleep(seconds) FROM slow; END IF; RETURN OLD;
END $$;
CREATE TRIGGER sleep BEFORE DELETE ON rule FOR EACH ROW EXECUTE FUNCTION sleep();
"""


def test_chunk_time_meets_the_target_on_a_real_slower_server(estate: Any) -> None:
    """A row costs as much, from the second chunk on, as makes the next one take six targets."""
    size = ChunkSize(target=0.05, minimum=1, initial=100, maximum=100)
    estate.conn.execute(SLEEPS)
    estate.fence()
    chunks: list[Progress] = []
    costs = [0.0]

    def observer(received: Progress | Report) -> None:
        if isinstance(received, Progress) and received.event is Event.CHUNK:
            chunks.append(received)
            if len(chunks) == 2:
                costs.append(6 * size.target / received.chunk_size)
                estate.conn.execute("UPDATE slow SET seconds = %s", [costs[-1]])

    estate.resume(chunk_size=size, observers=[observer], budget=Budget(chunks=8))
    slow = chunks[2:]
    took = [received.rows * costs[-1] for received in slow]
    assert took[0] == pytest.approx(6 * size.target)
    assert min(took) < 1.5 * size.target
    assert all(received.elapsed >= least for received, least in zip(slow, took, strict=True))
    estate.assert_exact()


# -- an old snapshot -------------------------------------------------------------------------------

MANY = 20_000
SCATTERED = """
INSERT INTO rule SELECT 20000 + n, 1 FROM generate_series(1, 20000) n ORDER BY hashint4(n)
"""
"""Neighbours by their key are on pages far from each other: each dead row that is looked at is a
page that is."""
TWENTIETH = ChunkSize(initial=1_000, minimum=1_000, maximum=1_000)

EXPLAIN = sql_template("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {chunk}")


def pages(conn: psycopg.Connection[Any], tree: DeleteTree) -> int:
    """How many pages the next chunk looks at, or writes: it is rolled back."""
    (job,) = batchq.run(conn, tree.jobs.all(tree.name))
    chunk = tree.chunk(job, 1_000, timedelta(seconds=30))
    explain = EXPLAIN.fill(chunk=Statement(Shape(chunk._shape.source), chunk._values))
    with conn.transaction(force_rollback=True):
        ((explained,),) = batchq.run(conn, explain.all(tuple), nested=True)
    plan = explained[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@pytest.mark.parametrize("order", ["ctid", "id"])
def test_late_chunk_costs_at_most_thrice_an_early_one_with_an_old_snapshot(
    estate: Any, connect: Callable[..., Any], at: Any, order: str
) -> None:
    """VACUUM may not remove the dead rows of the chunks before it."""
    estate.conn.execute("ALTER TABLE rule SET (autovacuum_enabled = off)")
    estate.conn.execute("DELETE FROM rule WHERE vpc_id = 1")
    estate.conn.execute(SCATTERED)
    estate.conn.execute("VACUUM ANALYZE rule")
    estate.fence()
    old = connect()
    old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    assert old.execute("SELECT count(*) FROM rule WHERE vpc_id = 1").fetchone() == (MANY,)

    worker = connect()
    worker.execute(f"SET enable_tidscan = {'on' if order == 'ctid' else 'off'}")
    looked: list[int] = []

    def look() -> None:
        assert estate.job("cursor_key")[1] == order
        looked.append(pages(estate.conn, estate.tree))

    throttles = [at(2, look), at(20, look)]
    report = estate.resume(worker, chunk_size=TWENTIETH, throttles=throttles)

    assert old.execute("SELECT count(*) FROM rule WHERE vpc_id = 1").fetchone() == (MANY,)
    assert (report.detail, report.jobs_done, report.rows) == ("", 1, MANY)
    early, late = looked
    assert late <= 3 * early
