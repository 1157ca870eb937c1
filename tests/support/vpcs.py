# SPDX-License-Identifier: MIT
"""VPCs with routers, and jobs that are started and processed on one connection."""

from __future__ import annotations

import math
from typing import Any
from uuid import UUID

from batchq import run
from batchq.bulk import Backfill, Budget, ChunkSize, DeleteRows, DeleteTree, Report, resume
from batchq.hierarchy import Parent

VPC_TABLE = """
CREATE TABLE vpc (id int PRIMARY KEY, rcgen bigint NOT NULL DEFAULT 1, time_deleted timestamptz);
INSERT INTO vpc VALUES (1), (2);
"""
VPC = Parent(table="vpc", key="id", deleted_at="time_deleted", generation="rcgen")
ROUTER = Parent(table="router", key="id", deleted_at="time_deleted", generation="rcgen")
Task = DeleteTree | Backfill | DeleteRows
MISSING = LookupError("no such vpc")


def chunks_of(rows: int) -> ChunkSize:
    """Make chunks of one size."""
    return ChunkSize(minimum=rows, initial=rows, maximum=rows)


def begin(conn: Any, task: Task) -> UUID:
    """Insert the job of a task, or of the first VPC, which is fenced."""
    if not isinstance(task, DeleteTree):
        return run(conn, task.start())
    return run(conn, task.fence(1, missing=MISSING))


def go_on(conn: Any, task: Task, rows: int = 10, **options: Any) -> Report:
    """Process the jobs of a task; what ends, ends long before the budget."""
    usual = {"owner": "test", "chunk_size": chunks_of(rows)}
    usual["budget"] = Budget(chunks=500, seconds=math.inf)
    return resume(conn, [task], **{**usual, **options})


def one(conn: Any, query: str, *values: object) -> Any:
    """Return the one row of a query, or the one value in it."""
    row = conn.execute(query, values or None).fetchone()
    assert row is not None
    return row[0] if len(row) == 1 else row


def job_of(conn: Any, columns: str) -> Any:
    """Return columns of the one job."""
    return one(conn, f"SELECT {columns} FROM bulk_job")
