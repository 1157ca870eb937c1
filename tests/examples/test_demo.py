# SPDX-License-Identifier: MIT
"""The demo, run as a person runs it. It checks itself: here it must say so, and clean up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from batchq import gather, run, sql
from batchq.testing import proxy
from examples.datastore.models import NewSilo
from examples.demo import compare_round_trips
from examples.demo.console import DemoCheckFailed, check

ROOT = Path(__file__).parents[2]


def demo(**environment):
    return subprocess.run(
        [sys.executable, "-m", "examples.demo"],
        cwd=ROOT,
        env={**os.environ, "PYTHONUTF8": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,  # only so that it ends
    )


def test_it_tells_its_story_on_the_server_that_database_url_names_and_leaves_nothing_there(
    postgres,
):
    done = demo(DATABASE_URL=postgres.conninfo())
    assert (done.returncode, done.stderr) == (0, "")
    for line in (
        "PostgreSQL " + str(postgres.version // 10000),
        "AlreadyExists (HTTP 400)",
        "LimitExceeded (HTTP 507)",
        "NotFound (HTTP 404)",
        "InvariantViolation (HTTP 500)",
        "UnmappedViolation (HTTP 500)",
        '.on(check("project_name_is_lower_case"), YourError(...))',
        "at COMMIT: foreign_key",
        "nothing was kept",
        "VpcHasSubnets (HTTP 400)",
        "and never anything between.",
        "Everything was as told.",
    ):
        assert line in done.stdout
    with psycopg.connect(postgres.conninfo()) as conn:
        left = conn.execute(
            "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'batchq_demo%'"
        ).fetchone()
    assert left == (0,)


def test_it_starts_a_server_of_its_own_without_database_url():
    done = demo(DATABASE_URL="")
    assert (done.returncode, done.stderr) == (0, "")
    assert "an embedded PostgreSQL" in done.stdout


def test_one_round_trip_is_proven_and_not_a_matter_of_luck(database):
    """The answers to this batch overtake what is still being sent, and need two of its flights."""
    text = "x" * 1_000_000
    batch = gather(*(sql("SELECT %(text)s::text", text=text).scalar(str) for _ in range(8)))
    with (
        proxy(database) as link,
        psycopg.connect(link.conninfo(), autocommit=True) as conn,
    ):
        variant = compare_round_trips.Variant("one batch", lambda _: run(conn, batch), 1, held=True)
        compare_round_trips._interleave(link, [variant], NewSilo(name="any"), "it succeeds")
    assert len(variant.seconds) == compare_round_trips._ROUNDS


def test_it_stops_at_what_is_not_as_told():
    with pytest.raises(DemoCheckFailed, match="round trips: told 1, but it is 2"):
        check("round trips", 2, 1)
