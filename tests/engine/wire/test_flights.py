# SPDX-License-Identifier: MIT
"""One flight: a batch is sent as one run of messages and nothing follows it, whatever comes back.

The proxy withholds every answer until the server has answered both Syncs: a client that needs an
answer to go on would never get it.
"""

from __future__ import annotations

import pytest
from psycopg import IsolationLevel

import batchq
from batchq import Outcome, gather, sql
from batchq.result import Ok
from tests.support.clients import Client, item, parsed

FULL = "PBDE"  # Parse, Bind, Describe, Execute: a command that is not prepared yet, or never
KNOWN = "BDE"  # a command that was prepared before
SYNC = "S"


def layout(command, steps=3, settings=""):
    return command + settings + command * steps + SYNC + command + SYNC


BATCHES = {
    "success": gather(item(1), item(2), item(3)),
    "the first step fails": gather(item(1, size=0), item(2), item(3)),
    "a middle step fails": gather(item(1), item(2, size=0), item(3)),
    "the last step fails": gather(item(1), item(2), item(3, size=0)),
    "COMMIT fails": gather(item(1, place=7), item(2), item(3, place=7)),
}

FAILING = {name: batch for name, batch in BATCHES.items() if name != "success"}


def of(batches):
    return pytest.mark.parametrize("batch", batches.values(), ids=batches)


def one_flight(link, client: Client, batch, *, syncs=2, **options):
    """Attempt a batch with its answers withheld; the answer and the recording."""
    link.hold(syncs=syncs)
    with link.record() as recording:
        answer = client.attempt(batch, **options)
    assert recording.flights == 1
    return answer, recording


@of(BATCHES)
def test_an_unprepared_batch_is_one_flight_and_nothing_follows_it(link, client, conn, batch):
    client.conn.prepare_threshold = None
    with link.record() as everything:
        answer, recording = one_flight(link, client, batch)
        assert recording.client == layout(FULL)
        assert not any(parsed(recording))
        one_flight(link, client, gather(item(11), item(12), item(13)))
    assert everything.client == layout(FULL) * 2
    succeeded = isinstance(answer, Ok)
    assert succeeded == (batch is BATCHES["success"])
    assert conn.execute("SELECT count(*) FROM item WHERE id < 10").fetchone() == (3 * succeeded,)


@of(BATCHES)
def test_a_batch_that_prepares_is_one_flight(link, client, batch):
    client.conn.prepare_threshold = 0
    client.run(item(21))
    _, recording = one_flight(link, client, batch)
    # The three steps are one statement, parsed once.
    assert recording.client == KNOWN + FULL + KNOWN * 2 + SYNC + KNOWN + SYNC
    assert all(name.startswith(b"batchq_") for name in parsed(recording))


@of({name: batch for name, batch in BATCHES.items() if name != "COMMIT fails"})
def test_a_batch_that_asks_for_types_before_it_prepares_is_one_flight(link, client, batch):
    """Those that the server infers: of a text, and of a NULL. It is asked by no name."""
    client.conn.prepare_threshold = 0
    _, recording = one_flight(link, client, gather(item(21), batch))
    assert recording.client == FULL + "PD" + FULL * 4 + SYNC + FULL + SYNC
    assert parsed(recording)[1] == b""


@of(BATCHES)
def test_a_batch_that_was_prepared_is_one_flight(link, client, batch):
    client.conn.prepare_threshold = 0
    # With a place at least once: the type of a NULL is learnt from the first value that is none.
    client.run(gather(item(21, place=21), item(22), item(23)))
    client.run(gather(item(24)))
    _, recording = one_flight(link, client, batch)
    assert recording.client == layout(KNOWN)


@pytest.mark.parametrize("batch", [item(1), item(1, size=0)], ids=["success", "failure"])
def test_a_batch_of_one_is_one_flight(link, client, batch):
    client.conn.prepare_threshold = None
    _, recording = one_flight(link, client, batch)
    assert recording.client == layout(FULL, steps=1)


MATCHING, MATCHING_NONE = {"id": 1}, {"id": 9}


@pytest.mark.parametrize("where", [MATCHING, MATCHING_NONE], ids=["holding", "not holding"])
@pytest.mark.parametrize(
    "guarded",
    [
        lambda where: batchq.delete("item", where).expect(1),
        lambda where: batchq.select("item", ["id"], where=where).one(tuple),
    ],
    ids=["expect()", "one()"],
)
def test_a_guard_adds_no_message(link, client, conn, guarded, where):
    conn.execute("INSERT INTO item VALUES (1, 1)")
    client.conn.prepare_threshold = None
    answer, recording = one_flight(link, client, gather(item(2), guarded(where)))
    assert recording.client == layout(FULL, steps=2)
    assert isinstance(answer, Ok) == (where is MATCHING)


@of({name: BATCHES[name] for name in ("success", "a middle step fails", "COMMIT fails")})
@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({"isolation": IsolationLevel.SERIALIZABLE}, ""),
        ({"read_only": False}, ""),
        ({"timeout": 60}, FULL),
        ({"isolation": IsolationLevel.REPEATABLE_READ, "read_only": False, "timeout": 60}, FULL),
    ],
    ids=["isolation", "read only", "timeout", "all"],
)
def test_options_travel_in_the_same_flight(link, client, batch, options, settings):
    client.conn.prepare_threshold = None
    _, recording = one_flight(link, client, batch, **options)
    assert recording.client == layout(FULL, settings=settings)


def test_an_empty_batch_sends_nothing(link, client):
    with link.record() as recording:
        assert client.run(gather()) == ()
    assert recording.messages == ()


class TestNested:
    def test_success_is_one_flight(self, link, client):
        client.conn.prepare_threshold = None
        client.execute("BEGIN")
        answer, recording = one_flight(link, client, BATCHES["success"], syncs=1, nested=True)
        # No Sync before RELEASE: after a failed step it would fail as well.
        assert recording.client == FULL * 5 + SYNC
        assert isinstance(answer, Ok)

    @of({name: batch for name, batch in FAILING.items() if name != "COMMIT fails"})
    def test_failure_is_two_flights(self, link, client, batch):
        client.conn.prepare_threshold = None
        client.execute("BEGIN")
        link.hold(syncs=1)
        with link.record() as recording:
            answer = client.attempt(batch, nested=True)
        assert recording.client == FULL * 5 + SYNC + FULL * 2 + SYNC
        assert recording.flights == 2
        assert answer.outcome is Outcome.ROLLED_BACK


class TestCockroachDB:
    """Its layout, on PostgreSQL: one Sync, so that it can re-run a conflicted batch by itself."""

    @pytest.fixture(autouse=True)
    def dialect(self, monkeypatch):
        from batchq.engine.dialects import COCKROACHDB  # noqa: PLC0415  beside what it patches

        monkeypatch.setattr("batchq.engine.wire.connection_state.dialect_of", lambda _: COCKROACHDB)

    def test_success_is_one_flight_with_one_sync(self, link, client, conn):
        client.conn.prepare_threshold = None
        answer, recording = one_flight(link, client, BATCHES["success"], syncs=1)
        assert recording.client == FULL * 5 + SYNC
        assert isinstance(answer, Ok)
        assert conn.execute("SELECT count(*) FROM item").fetchone() == (3,)

    @of(FAILING)
    def test_failure_costs_a_flight_more_unless_it_was_commit_that_failed(
        self, link, client, conn, batch
    ):
        client.conn.prepare_threshold = None
        left_open = batch is not FAILING["COMMIT fails"]
        link.hold(syncs=1)
        with link.record() as recording:
            answer = client.attempt(batch)
        assert recording.client == FULL * 5 + SYNC + (FULL + SYNC) * left_open
        assert recording.flights == 1 + left_open
        assert answer.outcome is Outcome.ROLLED_BACK
        assert conn.execute("SELECT count(*) FROM item").fetchone() == (0,)
        assert client.run(sql("SELECT 1").scalar(int)) == 1
