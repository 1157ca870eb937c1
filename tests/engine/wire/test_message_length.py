# SPDX-License-Identifier: MIT
"""No message is sent that the server would not read."""

from __future__ import annotations

import pytest
from attrs import evolve

from batchq import InvalidBatch, gather, insert, run, sql
from batchq.engine.dialects import COCKROACHDB, POSTGRESQL
from tests.support.fake_server import fake_server

LIMIT = 16 << 20


@pytest.fixture
def cockroach():
    """Start a made-up CockroachDB, and connect to it."""
    with fake_server(cockroach=True) as server, server.connect() as conn:
        yield server, conn


@pytest.mark.parametrize(
    "step",
    [
        insert("t", {"a": "x" * LIMIT}),
        insert("t", {"a": b"x" * LIMIT}),
        insert("t", {"a": ["x" * (LIMIT // 2)] * 2}),
        insert("t", {f"a{n}": "x" * (LIMIT // 100) for n in range(100)}),
        sql(f"INSERT INTO t VALUES ('{'x' * LIMIT}')"),
    ],
    ids=["a text", "bytes", "an array", "many values", "SQL"],
)
def test_message_too_long_for_cockroachdb_is_rejected_before_sending(cockroach, step):
    server, conn = cockroach
    batch = gather(insert("t", {"a": 1}), step.label("big"), insert("t", {"a": 2}))
    with pytest.raises(InvalidBatch, match=r"big.*reads at most 16,777,216") as got:
        run(conn, batch)
    assert got.value.step is not None
    assert (got.value.step.index, server.committed) == (1, False)
    run(conn, insert("t", {"a": 1}))
    assert server.committed


@pytest.mark.parametrize(
    "batch",
    [
        gather(*(insert("t", {f"a{n}": "x" * (LIMIT // 10)}) for n in range(11))),
        insert("t", {"a": "x" * (LIMIT - 200)}),
        sql(f"INSERT INTO t VALUES ('{'x' * (LIMIT // 2)}')"),
    ],
    ids=["many that are not", "just short enough", "SQL"],
)
def test_message_that_cockroachdb_accepts_is_sent(cockroach, batch):
    server, conn = cockroach
    run(conn, batch)
    assert server.committed


def test_postgresql_reads_more(conn):
    assert POSTGRESQL.max_message_bytes > 60 * COCKROACHDB.max_message_bytes
    size = run(conn, sql("SELECT length(%(a)s) AS n", a="x" * (LIMIT + 1)).scalar(int))
    assert size == LIMIT + 1


def test_message_too_long_for_postgresql_is_rejected_too(conn, monkeypatch):
    """The limit made small, for a gigabyte is much."""
    short = evolve(POSTGRESQL, max_message_bytes=1_000)
    monkeypatch.setattr("batchq.engine.wire.connection_state.dialect_of", lambda _: short)
    with pytest.raises(InvalidBatch, match=r"step 1 \(SELECT"):
        run(conn, gather(sql("SELECT 1"), sql("SELECT %(a)s AS n", a="x" * 1_000)))
    assert conn.info.transaction_status.name == "IDLE"
