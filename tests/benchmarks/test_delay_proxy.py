# SPDX-License-Identifier: MIT
"""The proxy in a process of its own: it delivers everything, later."""

from __future__ import annotations

import psycopg
import pytest

from benchmarks.delay_proxy import delay_proxy, round_trip

MEGABYTES = 3 << 20


@pytest.fixture(scope="module")
def link(postgres):
    with delay_proxy(postgres.conninfo()) as link:
        yield link


def test_large_values_arrive_in_both_directions(link):
    link.set_rtt(0.001)
    text = "0123456789abcdef" * (MEGABYTES // 16)
    with psycopg.connect(link.conninfo) as conn:
        assert conn.execute("SELECT %s || 'end'", [text]).fetchone() == (text + "end",)


def test_round_trip_takes_at_least_the_time_that_is_set(link):
    link.set_rtt(0.02)
    assert round_trip(link.conninfo, times=3) >= 0.02


def test_time_that_is_set_applies_to_open_connections(link):
    with psycopg.connect(link.conninfo, autocommit=True) as conn:
        link.set_rtt(0.02)
        (begin,) = conn.execute("SELECT clock_timestamp()").fetchone()
        (end,) = conn.execute("SELECT clock_timestamp()").fetchone()
    assert (end - begin).total_seconds() >= 0.02
