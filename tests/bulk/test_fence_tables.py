# SPDX-License-Identifier: MIT
"""Tables that are not those that were fenced: no row is deleted. Partitions are one table."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from batchq import run
from batchq.bulk import Budget, FenceBroken
from batchq.result import Failed, attempt
from tests.support.lock_waits import until_waits

LEASE = timedelta(minutes=2)


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
    detail = fenced.stuck(report)
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
    assert "another search path" in fenced.stuck(report)
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
        assert "other tables" in fenced.stuck(fenced.resume(worker))
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
