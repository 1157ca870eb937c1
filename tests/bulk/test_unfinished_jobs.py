# SPDX-License-Identifier: MIT
"""How many jobs are left and how old they are, in a report, for alarms."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import batchq
from batchq.bulk import Backfill, Budget, resume


def test_report_counts_unfinished_jobs_and_their_age(estate: Any) -> None:
    estate.fence(1)
    estate.fence(2)
    estate.conn.execute("UPDATE bulk_job SET created_at = now() - interval '1 hour' * root::int")
    report = estate.resume(budget=Budget(chunks=0))
    assert report.jobs_unfinished == 2
    assert timedelta(hours=2) <= report.oldest_job_age < timedelta(hours=3)
    report = estate.resume(budget=Budget(chunks=2))  # the oldest first
    assert (report.jobs_done, report.jobs_unfinished) == (1, 1)
    assert timedelta(hours=1) <= report.oldest_job_age < timedelta(hours=2)
    report = estate.resume()
    assert (report.jobs_done, report.jobs_unfinished, report.oldest_job_age) == (1, 0, None)


def test_unfinished_jobs_are_added_over_all_tasks(estate: Any) -> None:
    rules = Backfill(name="rules", table="rule", set={"name": "x"}, where={"name": None})
    estate.fence(1)
    batchq.run(estate.conn, rules.start())
    estate.conn.execute(
        "UPDATE bulk_job SET created_at = now() - interval '1 hour' * (1 + (root = '1')::int)"
    )
    for works in ([estate.tree, rules], [rules, estate.tree]):
        report = resume(estate.conn, works, owner="test", budget=Budget(chunks=0))
        assert report.jobs_unfinished == 2
        assert timedelta(hours=2) <= report.oldest_job_age < timedelta(hours=3)


def test_leased_job_is_unfinished_and_a_stuck_one_is_not(estate: Any) -> None:
    estate.fence(1)
    estate.fence(2)
    estate.conn.execute("UPDATE bulk_job SET phase = 'stuck' WHERE root = '2'")
    estate.conn.execute("UPDATE bulk_job SET lease_until = 'infinity' WHERE root = '1'")
    report = estate.resume()
    assert (report.jobs_unfinished, report.chunks) == (1, 0)
    assert report.oldest_job_age < timedelta(minutes=5)
