# SPDX-License-Identifier: MIT
"""Jobs are read and written correctly under any DateStyle and IntervalStyle."""

from __future__ import annotations

from typing import Any

import pytest

from batchq import run


@pytest.mark.parametrize("dates", ["SQL, DMY", "German, DMY", "Postgres, MDY"])
@pytest.mark.parametrize("intervals", ["iso_8601", "sql_standard"])
def test_job_is_read_under_any_date_and_interval_style(
    estate: Any, dates: str, intervals: str
) -> None:
    estate.conn.execute(f"SET DateStyle = '{dates}'; SET IntervalStyle = '{intervals}'")
    estate.conn.execute("SET TimeZone = 'Asia/Kolkata'")
    begun = estate.fence()
    waiting = run(estate.conn, estate.tree.jobs.stats("vpc"))
    assert waiting.claimable == 1
    assert waiting.oldest_age is not None
    estate.resume()
    estate.assert_deleted()
    job = run(estate.conn, estate.tree.jobs.get(begun))
    created = estate.job("extract(epoch FROM created_at)::float8")
    assert job.created_at.timestamp() == pytest.approx(created, abs=1e-3)
