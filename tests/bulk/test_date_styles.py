# SPDX-License-Identifier: MIT
"""Jobs are read and written correctly under any DateStyle and IntervalStyle."""

from __future__ import annotations

import pytest

from batchq import run
from batchq.bulk import ChildDelete, DeleteTree, Fenced, StopReason, resume, start
from batchq.hierarchy import Parent

VPC = Parent(table="vpc", key="id", deleted_at="time_deleted", generation="rcgen")
RULES = VPC.children("rule", by="vpc_id", deleted_at=None)
TREE = DeleteTree(name="vpc", parent=VPC, children=[ChildDelete(relation=RULES)], inline_limit=1)

TABLES = """
CREATE TABLE vpc (id int PRIMARY KEY, rcgen bigint NOT NULL DEFAULT 1, time_deleted timestamptz);
CREATE TABLE rule (id int PRIMARY KEY, vpc_id int NOT NULL);
CREATE INDEX rule_by_vpc ON rule (vpc_id, id);
INSERT INTO vpc VALUES (1);
INSERT INTO rule SELECT n, 1 FROM generate_series(1, 5) AS n;
"""


@pytest.mark.parametrize("dates", ["SQL, DMY", "German, DMY", "Postgres, MDY"])
@pytest.mark.parametrize("intervals", ["iso_8601", "sql_standard"])
def test_job_is_read_under_any_date_and_interval_style(conn, dates, intervals):
    conn.execute(TABLES)
    conn.execute(TREE.jobs.ddl())
    conn.execute(f"SET DateStyle = '{dates}'; SET IntervalStyle = '{intervals}'")
    conn.execute("SET TimeZone = 'Asia/Kolkata'")
    fenced = start(conn, TREE, 1, missing=LookupError())
    assert isinstance(fenced, Fenced)
    waiting = run(conn, TREE.jobs.stats("vpc"))
    assert waiting.claimable == 1
    assert waiting.oldest_age is not None
    assert resume(conn, [TREE], owner="me").stop_reason is StopReason.EXHAUSTED
    job = run(conn, TREE.jobs.get(fenced.job))
    assert (job.phase, job.rows_done) == ("done", 5)
    (age,) = conn.execute("SELECT extract(epoch FROM created_at)::float8 FROM bulk_job").fetchone()
    assert job.created_at.timestamp() == pytest.approx(age, abs=1e-3)
