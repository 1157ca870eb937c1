# SPDX-License-Identifier: MIT
"""The ways to take from a limited counter: none of them takes more than there is."""

from __future__ import annotations

import psycopg
import pytest

pytest.importorskip("asyncpg", reason="the peers come with batchq[bench]")
pytest.importorskip("sqlalchemy", reason="the peers come with batchq[bench]")

from benchmarks.sandbox import sandbox
from benchmarks.workers import CHARGES, LIMITS, create_counters, processes, taken

ROOM, WORKERS, SECONDS = 20, 3, 0.05


def test_no_way_takes_more_than_there_is(postgres):
    with (
        sandbox(postgres.conninfo()) as place,
        psycopg.connect(place.conninfo, autocommit=True) as conn,
        processes(place.conninfo, WORKERS) as workers,
    ):
        LIMITS.create(conn)
        for way in CHARGES:
            (silo,) = create_counters(conn, 1, room=ROOM)
            count = refused = 0
            while not refused:
                shift = workers.work(way, [silo] * WORKERS, SECONDS)
                count, refused = count + shift.taken, shift.refused
            assert (way, count, taken(conn, silo)) == (way, ROOM, ROOM)
