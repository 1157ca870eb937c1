# SPDX-License-Identifier: MIT
"""Processes that take from one counter at once: each way counts every call."""

from __future__ import annotations

import psycopg
import pytest

pytest.importorskip("asyncpg", reason="the peers come with batchq[bench]")
pytest.importorskip("sqlalchemy", reason="the peers come with batchq[bench]")

from benchmarks.measure import differing, opened
from benchmarks.peers.contention import CHARGES, InProcesses


def test_every_way_takes_as_much_as_was_asked_for(postgres):
    charging = [InProcesses(name, processes=3) for name in CHARGES]
    with opened(postgres.conninfo(), charging, 20) as sides:
        for side in sides:
            side.work(range(10))
            side.work(range(10, 20))
        assert differing(sides) == ()
        with psycopg.connect(sides[0].place.conninfo) as conn:
            taken = conn.execute("SELECT max(projects_used) FROM silo_limits").fetchone()
    assert taken == (21,)  # one project was there
