# SPDX-License-Identifier: MIT
"""The demo as a subprocess: it checks its own results, and must clean up."""

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
from examples.demo.database import demo_database

ROOT = Path(__file__).parents[2]


def demo(**environment):
    return subprocess.run(
        [sys.executable, "-m", "examples.demo"],
        cwd=ROOT,
        env={**os.environ, "PYTHONUTF8": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,  # a safety net
    )


def test_demo_on_database_url_prints_each_failure_and_leaves_nothing(postgres):
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
        "nothing was applied",
        "VpcHasSubnets (HTTP 400)",
        "and never a part of them.",
        "TooNew: the schema is expanded for version 6, not for 7",
        "NotYet: version 6 may still run, and this needs 7",
        "StillRunning: 'datastore-6' is running version 6",
        "TooOld: version 6 is retired: the oldest that may run is 7",
        "CheckViolation: 23514 by router_route_row_version_7",
        "Unproven: router_route has no validated CHECK",
        "NotYet: version 7 is the oldest only since",
        "0 of these without labels",
        "Every result was as expected.",
    ):
        assert line in done.stdout
    with psycopg.connect(postgres.conninfo()) as conn:
        left = conn.execute(
            "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'batchq_demo%'"
        ).fetchone()
    assert left == (0,)


def test_demo_without_database_url_starts_a_server(monkeypatch):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with demo_database() as (conninfo, where), psycopg.connect(conninfo) as conn:
        assert "an embedded PostgreSQL" in where
        assert conn.execute("SELECT 1").fetchone() == (1,)


def test_comparison_proves_one_round_trip_for_large_answers(database):
    """Without `held`, the answers to this batch would overtake its requests: two flights."""
    text = "x" * 1_000_000
    batch = gather(*(sql("SELECT %(text)s::text", text=text).scalar(str) for _ in range(8)))
    with (
        proxy(database) as link,
        psycopg.connect(link.conninfo(), autocommit=True) as conn,
    ):
        variant = compare_round_trips.Variant("one batch", lambda _: run(conn, batch), 1, held=True)
        compare_round_trips._interleave(link, [variant], NewSilo(name="any"), "it succeeds")
    assert len(variant.seconds) == compare_round_trips._ROUNDS


def test_check_fails_if_a_result_is_unexpected():
    with pytest.raises(DemoCheckFailed, match="round trips: expected 1, got 2"):
        check("round trips", 2, 1)
