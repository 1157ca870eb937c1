# SPDX-License-Identifier: MIT
"""The process that stands for a checkout: it creates projects, and times itself."""

from __future__ import annotations

import psycopg
import pytest

from benchmarks.compare import BARE, HERE, NEW, worker


@pytest.mark.parametrize("side", [NEW, BARE])
def test_worker_makes_the_calls_and_times_each_turn(side, database):
    with worker(HERE, side, database) as turn:
        costs = [turn(range(2)), turn(range(2, 5))]
        with psycopg.connect(database) as conn:
            assert conn.execute("SELECT count(*) FROM project").fetchone() == (5,)
    assert all(cost.wall > 0 and cost.cpu > 0 for cost in costs)
