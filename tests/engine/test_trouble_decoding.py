# SPDX-License-Identifier: MIT
"""What fails after COMMIT never looks like a rollback."""

from __future__ import annotations

import pytest

import batchq
from batchq import DecodeFailed, Outcome, gather, sql
from tests.support.clients import item


def refuse(*_, **__):
    raise ValueError("a secret")


DECODING = {
    "a value of another type": sql("SELECT %(x)s::text", x="a secret").scalar(int),
    "a NULL for a scalar": sql("SELECT NULL::int").scalar(int),
    "a model that raises": sql("SELECT 1 AS a").one(refuse),
    "a function that raises": sql("SELECT 1").scalar(int).map(refuse),
    "an into() that raises": batchq.into(refuse, a=sql("SELECT 1").scalar(int)),
}


@pytest.mark.parametrize("decoding", DECODING.values(), ids=DECODING)
def test_decoding_failure_reports_that_the_batch_is_committed(client, conn, decoding):
    answer = client.attempt(gather(item(1), decoding, item(2)))
    assert isinstance(answer.error, DecodeFailed)
    assert answer.error is answer.report
    assert answer.outcome is Outcome.COMMITTED
    assert "committed" in str(answer.error)
    assert "a secret" not in str(answer.error)
    assert conn.execute("SELECT count(*) FROM item").fetchone() == (2,)
    assert client.run(sql("SELECT 1").scalar(int)) == 1
