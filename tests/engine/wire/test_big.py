# SPDX-License-Identifier: MIT
"""Big things pass, in both directions at once, and what the protocol cannot carry is refused.

A hang is what breaks here: a client that only writes while the server waits for it to read. The
timeout of the test run is what finds it.
"""

from __future__ import annotations

from functools import cache

import psycopg
import pytest

import batchq
from batchq import InvalidBatch, gather, sequence, sql
from batchq.testing import proxy
from tests.support.clients import ITEMS, AsyncClient, SyncClient, item

MB = 1_000_000


@pytest.fixture(params=[SyncClient, AsyncClient], ids=["sync", "async"])
def client(request, database, conn):
    conn.execute(ITEMS)
    with request.param(database) as client:
        yield client


def length(size):
    return sql("SELECT length(%(text)s::text)", text="x" * size).scalar(int)


def numbers(count, width=0):
    return sql(
        "SELECT n, repeat('y', %(width)s::int) FROM generate_series(1, %(count)s::int) AS n",
        count=count,
        width=width,
    ).all(tuple)


def test_three_parameters_of_20_mb(client):
    assert client.run(gather(*[length(20 * MB)] * 3)) == (20 * MB,) * 3


def test_ten_thousand_statements(client, conn):
    assert client.run(sequence(map(item, range(10_000)))) == [None] * 10_000
    assert conn.execute("SELECT count(*), max(id) FROM item").fetchone() == (10_000, 9_999)


def test_thousands_of_different_statements(client):
    batch = sequence(sql(f"SELECT {n}").scalar(int) for n in range(3_000))
    assert client.run(batch) == list(range(3_000))


def test_a_failure_in_the_last_of_ten_thousand_statements_is_found(client, conn):
    answer = client.attempt(sequence([*map(item, range(9_999)), item(0)]))
    assert answer.report.index == 9_999
    assert conn.execute("SELECT count(*) FROM item").fetchone() == (0,)


def test_200_000_rows_in_the_middle_of_a_batch(client, conn):
    _, rows, _ = client.run(gather(item(1), numbers(200_000), item(2)))
    assert rows == [(n, "") for n in range(1, 200_001)]
    assert conn.execute("SELECT count(*) FROM item").fetchone() == (2,)


def test_big_answers_while_big_parameters_are_still_being_sent(client):
    """The server cannot get rid of 20 MB of rows before it reads the next 20 MB of parameters."""
    batch = gather(*[numbers(20, MB), length(20 * MB)] * 3)
    for answer in client.run(batch):
        assert answer == 20 * MB or len(answer) == 20


@pytest.mark.parametrize("kind", [SyncClient, AsyncClient], ids=["sync", "async"])
def test_both_ways_at_once_through_a_slow_link(database, kind):
    with proxy(database, rtt=0.002) as link, kind(link.conninfo()) as client:
        rows, sent, _ = client.run(gather(numbers(20, MB), length(20 * MB), numbers(50_000)))
        assert (len(rows), sent) == (20, 20 * MB)


@cache
def wide(count):
    """Return a statement with so many parameters."""
    names = [f"p{n}" for n in range(count)]
    text = f"SELECT cardinality(ARRAY[{','.join(f'%({name})s' for name in names)}]::int[])"
    return sql(text, **dict.fromkeys(names, 1)).all(tuple)  # type: ignore[arg-type]


def test_65_535_parameters_are_carried(client):
    assert client.run(wide(65_535)) == [(65_535,)]


def test_more_parameters_are_refused_before_anything_is_sent(database, conn):
    conn.execute(ITEMS)
    with proxy(database) as link, psycopg.connect(link.conninfo(), autocommit=True) as client:
        with (
            link.record() as recording,
            pytest.raises(InvalidBatch, match=r"65536 parameters .* allows 65535") as raised,
        ):
            batchq.run(client, gather(item(1), wide(65_536)))
        assert raised.value.index == 1
        assert recording.bytes_sent == 0
        batchq.run(client, item(1))
