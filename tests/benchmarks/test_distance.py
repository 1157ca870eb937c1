# SPDX-License-Identifier: MIT
"""The process in between: everything arrives, later."""

from __future__ import annotations

import os
import socket

import psycopg
import pytest

from benchmarks.distance import distance, round_trip

MEGABYTES = 3 << 20


@pytest.fixture
def link(postgres):
    with distance(postgres.conninfo()) as link:
        yield link


def test_all_arrives_in_both_directions_however_much_it_is(link):
    link.set(0.001)
    text = "0123456789abcdef" * (MEGABYTES // 16)
    with psycopg.connect(link.conninfo) as conn:
        assert conn.execute("SELECT %s || 'end'", [text]).fetchone() == (text + "end",)


def test_connections_do_not_hear_each_other(link):
    connections = [psycopg.connect(link.conninfo, autocommit=True) for _ in range(3)]
    for number, conn in enumerate(connections):
        assert conn.execute("SELECT %s", [number]).fetchone() == (number,)
    connections[0].close()
    assert connections[2].execute("SELECT 2").fetchone() == (2,)
    for conn in connections:
        conn.close()


def test_a_round_trip_takes_at_least_as_long_as_it_was_told(link):
    link.set(0.02)
    assert round_trip(link.conninfo, times=3) >= 0.02


def test_it_is_as_far_as_it_was_told_for_who_is_connected_already(link):
    with psycopg.connect(link.conninfo, autocommit=True) as conn:
        link.set(0.02)
        (begin,) = conn.execute("SELECT clock_timestamp()").fetchone()
        (end,) = conn.execute("SELECT clock_timestamp()").fetchone()
    assert (end - begin).total_seconds() >= 0.02


def test_the_server_notices_that_a_client_is_gone(link, postgres):
    conn = psycopg.connect(link.conninfo, autocommit=True)
    pid = conn.info.backend_pid
    with socket.socket(fileno=os.dup(conn.fileno())) as line:
        line.shutdown(socket.SHUT_WR)  # without a word
    with psycopg.connect(postgres.conninfo(), autocommit=True) as admin:
        while admin.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone():
            pass  # the test's own time is limited
    conn.close()
