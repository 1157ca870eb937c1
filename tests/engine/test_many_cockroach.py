# SPDX-License-Identifier: MIT
"""CockroachDB gets a ROLLBACK between two batches of a flight.

By its documentation, on PostgreSQL with the flight that CockroachDB gets, and on a fake server; it
has not run against a live CockroachDB here. Without a Sync before COMMIT, COMMIT is skipped after a
failure, and the transaction would be open for the next batch.
"""

from __future__ import annotations

import pytest
from attrs import evolve
from psycopg.pq import TransactionStatus

from batchq import Outcome, SerializationConflict, sql
from batchq.engine.dialects import COCKROACHDB
from batchq.engine.wire.connection_state import state_of
from batchq.result import Ok, run_many
from tests.support.clients import SyncClient, item
from tests.support.fake_server import Scenario, fake_server

COMMITTED, ROLLED_BACK, UNKNOWN = Outcome.COMMITTED, Outcome.ROLLED_BACK, Outcome.UNKNOWN
STEPS = [sql(f"SELECT {n}") for n in range(3)]
# On the fake server: BEGIN, the step and COMMIT of the first, a ROLLBACK, those of the second, …
STEP, COMMIT, BETWEEN, SECOND = 1, 2, 3, 4
ERROR = {"S": "ERROR", "V": "ERROR", "M": "no"}


def outcomes(results):
    return [COMMITTED if isinstance(result, Ok) else result.outcome for result in results]


def test_failed_batch_is_rolled_back_before_the_next_one(link, conn):
    with SyncClient(link.conninfo(), prepare_threshold=None) as client:
        state_of(client.conn).dialect = COCKROACHDB
        client.conn.add_notice_handler(lambda _: None)
        batches = [item(1), item(2, size=0), item(3)]
        with link.record() as recording:
            results = client.run_many(batches)
        assert outcomes(results) == [COMMITTED, ROLLED_BACK, COMMITTED]
        assert recording.client == "PBDES".join(["PBDEPBDEPBDES"] * 3)
        assert [row for (row,) in conn.execute("SELECT id FROM item ORDER BY id")] == [1, 3]
        # The last one is not followed by it: as for one batch, that takes a flight of its own.
        with link.record() as recording:
            assert outcomes(client.run_many([item(4), item(4)])) == [COMMITTED, ROLLED_BACK]
        assert recording.client == "PBDES".join(["PBDEPBDEPBDES"] * 2) + "PBDES"
        assert client.conn.info.transaction_status == TransactionStatus.IDLE


CASES = {
    "nothing fails": (Scenario(), [COMMITTED] * 3),
    "the ROLLBACK has nothing to roll back": (
        Scenario(place=BETWEEN, fields={**ERROR, "C": "25P01"}),
        [COMMITTED] * 3,
    ),
    "a step has a conflict": (
        Scenario(place=STEP, fields={**ERROR, "C": "40001"}),
        [ROLLED_BACK, COMMITTED, COMMITTED],
    ),
    "a step of the second fails": (
        Scenario(place=SECOND + STEP, fields={**ERROR, "C": "23505"}),
        [COMMITTED, ROLLED_BACK, COMMITTED],
    ),
    "COMMIT is ambiguous": (
        Scenario(place=COMMIT, fields={**ERROR, "C": "40003"}),
        [UNKNOWN, COMMITTED, COMMITTED],
    ),
    "the session ends in the ROLLBACK": (
        Scenario(place=BETWEEN, fields={**ERROR, "C": "57P01"}, ends=True),
        [COMMITTED, ROLLED_BACK, ROLLED_BACK],
    ),
    "the session ends in the second": (
        Scenario(place=SECOND + STEP, fields={**ERROR, "C": "57P01"}, ends=True),
        [COMMITTED, ROLLED_BACK, ROLLED_BACK],
    ),
    "the session ends in COMMIT": (
        Scenario(place=COMMIT, fields={**ERROR, "C": "57P01"}, ends=True),
        [UNKNOWN, ROLLED_BACK, ROLLED_BACK],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_outcome_is_as_the_server_proves_it(name):
    scenario, expected = CASES[name]
    with fake_server(cockroach=True) as server, server.connect(prepare_threshold=None) as conn:
        server.scenario = evolve(scenario, syncs=5)
        results = run_many(conn, STEPS)
        assert outcomes(results) == expected
        assert conn.closed is scenario.ends
        if name == "a step has a conflict":
            assert type(results[0].error) is SerializationConflict
