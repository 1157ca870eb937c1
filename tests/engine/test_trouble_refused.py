# SPDX-License-Identifier: MIT
"""What is refused before a byte is sent: nothing happened, and the connection is as it was."""

from __future__ import annotations

from contextlib import suppress

import psycopg
import pytest
from psycopg.adapt import Dumper
from psycopg.pq import TransactionStatus

import batchq
from batchq import ConnectionFailed, InvalidBatch, Outcome, gather, sql
from tests.support.clients import item


class Unadaptable:
    def __repr__(self):
        return "a secret"


@pytest.mark.parametrize(
    "value",
    [
        Unadaptable(),
        {"a": "a secret"},
        "a secret\0",
        [1, Unadaptable()],
        2**63,
        -(2**63) - 1,
        (object(),),
        [1, [2**63]],
    ],
    ids=[
        "object",
        "dict",
        "NUL",
        "in a list",
        "too big",
        "too small",
        "tuple",
        "too big in a list",
    ],
)
def test_a_value_that_cannot_be_sent_leaves_nothing_sent(link, client, conn, value):
    good = [item(n) for n in range(9)]
    bad = sql("SELECT %(fine)s::int, %(wrong)s::text", fine=1, wrong=value).label("here")
    batch = gather(*good[:6], bad, *good[7:])
    with link.record() as recording, pytest.raises(InvalidBatch, match="wrong") as raised:
        client.run(batch)
    assert recording.bytes_sent == 0
    error = raised.value
    assert error.statement is bad
    assert (error.index, error.path) == (6, "here")
    assert error.outcome is Outcome.NOT_SENT
    assert "a secret" not in str(error)
    assert conn.execute("SELECT count(*) FROM item").fetchone() == (0,)
    assert client.run(gather(*good)) == (None,) * 9


class Wordy(str):
    """A text with a dumper that returns what is not bytes."""

    __slots__ = ()


class ReturnsText(Dumper):
    def dump(self, obj):
        return f"a secret {obj}"


def test_value_whose_dumper_returns_no_bytes_leaves_nothing_sent(link, client):
    client.conn.adapters.register_dumper(Wordy, ReturnsText)
    bad = sql("SELECT %(wrong)s::text", wrong=Wordy("x"))
    with link.record() as recording, pytest.raises(InvalidBatch, match="wrong") as raised:
        client.run(gather(item(1), bad))
    assert recording.bytes_sent == 0
    assert raised.value.statement is bad
    assert "a secret" not in str(raised.value)


class Items(list):
    """A list that batchq does not copy."""


def test_collection_that_contains_itself_is_rejected(client):
    items = Items()
    items.append([items])
    with pytest.raises(InvalidBatch, match="the value of 'items', an Items, cannot be sent"):
        client.run(sql("SELECT %(items)s::int[]", items=items))


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63), 0], ids=["biggest", "smallest", "zero"])
def test_every_bigint_can_be_sent(client, value):
    assert client.run(sql("SELECT %(n)s::bigint", n=value).scalar(int)) == value


def test_closed_connection_is_reported_as_closed(client):
    client.disconnect()
    answer = client.attempt(item(1))
    assert isinstance(answer.error, ConnectionFailed)
    assert answer.outcome is Outcome.NOT_SENT


@pytest.mark.parametrize(
    ("first", "status"),
    [(["BEGIN"], "INTRANS"), (["BEGIN", "SELECT 1/0"], "INERROR")],
    ids=["in a transaction", "in a failed transaction"],
)
def test_an_open_transaction_is_left_alone(link, client, first, status):
    with suppress(psycopg.errors.DivisionByZero):
        for command in first:
            client.execute(command)
    with link.record() as recording, pytest.raises(InvalidBatch, match=status):
        client.run(item(1))
    assert recording.bytes_sent == 0
    assert client.conn.info.transaction_status == TransactionStatus[status]
    client.execute("ROLLBACK")
    client.run(item(1))


def test_pipeline_mode_is_left_alone(link, connect):
    with psycopg.connect(link.conninfo(), autocommit=True) as conn:
        with conn.pipeline(), link.record() as recording:
            with pytest.raises(InvalidBatch, match="pipeline"):
                batchq.run(conn, item(1))
            assert recording.bytes_sent == 0
        batchq.run(conn, item(1))
