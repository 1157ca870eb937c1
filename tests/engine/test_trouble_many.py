# SPDX-License-Identifier: MIT
"""Several batches in one flight, and the link is cut, the session ends, or a preparation is lost.

Each batch has the outcome that follows from its own answers, and it is true.
"""

from __future__ import annotations

from itertools import product
from random import Random

import pytest
from psycopg.pq import TransactionStatus

from batchq import ConnectionFailed, DeadlineExceeded, Outcome, OutcomeUnknown, gather, sql
from batchq.engine.wire.connection_state import state_of
from batchq.result import Ok
from batchq.testing import error_response
from tests.support.blocked_batch import BLOCKED_BATCH, interrupt_main, lock_row, once_blocked
from tests.support.clients import AsyncClient, SyncClient, item, parsed, prepared

pytestmark = pytest.mark.link(prepare_threshold=None)

GOOD, FAILS, COMMIT_FAILS = "12nC12nCZ12nCZ", "12nC12nEZ12nCZ", "12nC12nC12nCZ12nEZ"
BATCHES = [
    item(1),
    item(2, size=0),
    gather(item(3, place=7), item(4, place=7)),
    item(5),
]
PARTS = [GOOD, FAILS, COMMIT_FAILS, GOOD]
ANSWERS = "".join(PARTS)
OF_REQUESTS = ["PBDEPBDESPBDES", "PBDEPBDESPBDES", "PBDEPBDEPBDESPBDES", "PBDEPBDESPBDES"]
REQUESTS = "".join(OF_REQUESTS)
SYNCS = REQUESTS.count("S")
COMMITTED, ROLLED_BACK, UNKNOWN = Outcome.COMMITTED, Outcome.ROLLED_BACK, Outcome.UNKNOWN

# The outcome that an answered batch has, and the number of its answers that prove it.
PROOFS = [
    (COMMITTED, GOOD.rindex("C") + 1),
    (ROLLED_BACK, FAILS.index("E") + 1),
    (ROLLED_BACK, COMMIT_FAILS.index("E") + 1),
    (COMMITTED, GOOD.rindex("C") + 1),
]
STARTS = [sum(map(len, PARTS[:n])) for n in range(len(PARTS))]


def proven(after: int) -> list[Outcome]:
    """Return the outcomes that a client can know from so many answers."""
    return [
        outcome if after >= start + needed else UNKNOWN
        for start, (outcome, needed) in zip(STARTS, PROOFS, strict=True)
    ]


def outcomes(results):
    return [COMMITTED if isinstance(result, Ok) else result.outcome for result in results]


def ids(conn):
    return [key for (key,) in conn.execute("SELECT id FROM item WHERE id > 0 ORDER BY id")]


@pytest.fixture
def plain(link):
    """Connect a sync client: what the answers prove is the same for both kinds."""
    with SyncClient(link.conninfo(), prepare_threshold=None) as client:
        yield client


@pytest.mark.parametrize("after", range(len(ANSWERS) + 1))
def test_each_outcome_follows_from_the_answers_that_came(link, client, conn, after):
    link.hold(syncs=SYNCS)
    link.cut_answers(after=after)
    with link.record() as recording:
        results = client.run_many(BATCHES)
    assert recording.client == REQUESTS
    assert recording.server == ANSWERS[:after]
    assert outcomes(results) == proven(after)
    assert ids(conn) == [1, 5]  # all was sent at once
    assert client.conn.closed or after == len(ANSWERS)
    for result in results:
        if not isinstance(result, Ok) and result.outcome is UNKNOWN:
            assert isinstance(result.error, OutcomeUnknown)
            assert result.report.step is None


@pytest.mark.parametrize("after", range(len(REQUESTS) + 1))
def test_no_answer_at_all_is_never_taken_for_one(link, plain, conn, after):
    link.cut_requests(after=after)
    results = plain.run_many(BATCHES)
    assert outcomes(results) == [UNKNOWN] * 4
    assert plain.conn.closed
    committed = [n for n, end in ((1, 0), (5, 3)) if after > _last_execute(end)]
    assert ids(conn) == committed


def _last_execute(number: int) -> int:
    before = "".join(OF_REQUESTS[:number])
    return len(before) + OF_REQUESTS[number].rindex("E")


@pytest.mark.parametrize("seed", range(8))
def test_hundred_that_are_cut_at_a_random_message(link, conn, seed):
    dice = Random(seed)
    kinds = {
        COMMITTED: item,
        "fails": lambda n: gather(item(n), item(n + 1000, size=0)),
        "fails at COMMIT": lambda n: gather(item(n, place=n), item(n + 1000, place=n)),
    }
    drawn = [dice.choice([*kinds]) for _ in range(100)]
    with SyncClient(link.conninfo(), prepare_threshold=None) as client:
        link.hold(syncs=200)
        link.cut_answers(after=dice.randrange(100 * len(FAILS)))
        results = client.run_many([kinds[kind](n) for n, kind in enumerate(drawn, 1)])
    known = outcomes(results)
    answered = known.index(UNKNOWN) if UNKNOWN in known else 100
    assert known[:answered] == [
        COMMITTED if kind is COMMITTED else ROLLED_BACK for kind in drawn[:answered]
    ]
    assert known[answered:] == [UNKNOWN] * (100 - answered)
    assert ids(conn) == [n for n, kind in enumerate(drawn, 1) if kind is COMMITTED]


OWN = {"source_file": "postgres.c", "source_function": "ProcessInterrupts"}
FATAL = error_response(
    "FATAL", "57P01", "terminating connection due to administrator command", **OWN
)
POOLER = error_response("FATAL", "57P01", "the pooler is shutting down")


@pytest.mark.parametrize("after", range(len(ANSWERS)))
def test_after_the_servers_own_fatal_the_later_ones_are_rolled_back(link, plain, after):
    """At COMMIT it leaves the outcome unknown; before it, nothing was kept."""
    link.hold(syncs=SYNCS)
    link.cut_answers(after=after, final_messages=FATAL)
    results = plain.run_many(BATCHES)
    known = outcomes(results)
    for number, (outcome, needed) in enumerate(PROOFS):
        seen = after - STARTS[number]
        barrier = PARTS[number].index("Z")
        if seen >= needed:
            assert known[number] is outcome
        elif barrier < seen:
            assert known[number] is UNKNOWN
        else:
            assert known[number] is ROLLED_BACK
            assert isinstance(results[number].error, ConnectionFailed)
            assert results[number].report.violation.sqlstate == "57P01"
            assert results[number].report.step is None
    assert plain.conn.closed


@pytest.mark.parametrize("after", [0, 3, len(GOOD) - 1, len(GOOD), STARTS[2], STARTS[3] + 5])
def test_after_a_poolers_fatal_the_later_ones_are_unknown(link, client, conn, after):
    link.hold(syncs=SYNCS)
    link.cut_answers(after=after, final_messages=POOLER)
    results = client.run_many(BATCHES)
    assert outcomes(results) == proven(after)
    assert ids(conn) == [1, 5]


def test_session_that_ends_in_one_of_them(client, conn, connect):
    """By a real server: nothing after the blocked one has run."""
    observer, holder = connect(), connect()
    lock_row(holder)
    pid = client.conn.info.backend_pid

    def terminate():
        observer.execute("SELECT pg_terminate_backend(%s, 60000)", [pid])

    with once_blocked(observer, pid, terminate):
        results = client.run_many([item(8), BLOCKED_BATCH, item(9)])
    holder.execute("ROLLBACK")
    assert outcomes(results) == [COMMITTED, ROLLED_BACK, ROLLED_BACK]
    assert client.conn.closed
    assert ids(conn) == [8]


def test_one_that_is_canceled_leaves_the_others(client, conn, connect):
    observer, holder = connect(), connect()
    lock_row(holder)
    pid = client.conn.info.backend_pid
    with once_blocked(
        observer, pid, lambda: observer.execute("SELECT pg_cancel_backend(%s)", [pid])
    ):
        results = client.run_many([item(8), BLOCKED_BATCH, item(9)])
    holder.execute("ROLLBACK")
    assert outcomes(results) == [COMMITTED, ROLLED_BACK, COMMITTED]
    assert client.conn.info.transaction_status == TransactionStatus.IDLE
    assert ids(conn) == [8, 9]


def test_deadline_is_of_the_whole(client, conn, connect):
    holder = connect()
    lock_row(holder)
    results = client.run_many([item(8), BLOCKED_BATCH, item(9)], deadline=0.3)
    holder.execute("ROLLBACK")
    assert isinstance(results[1].error, DeadlineExceeded | OutcomeUnknown)
    # However late the client came to any of them, what is known of it is true.
    kept = ids(conn)
    for key, outcome in zip((8, 3, 9), outcomes(results), strict=True):
        assert outcome is UNKNOWN or (outcome is COMMITTED) == (key in kept)
    assert 3 not in kept


# -- preparations ----------------------------------------------------------------------------------

READ = sql("SELECT 1").scalar(int)
OTHER = sql("SELECT 2").scalar(int)


def first_fails(*later):
    """Return a batch whose last statements are not reached, so that none of them is prepared."""
    return gather(item(0, size=0), *later)


@pytest.fixture(params=[SyncClient, AsyncClient], ids=["sync", "async"])
def preparing(request, link):
    with request.param(link.conninfo(), prepare_threshold=0) as client:
        yield client


@pytest.mark.parametrize(
    "fails",
    list(product([False, True], repeat=3)),
    ids=lambda fails: "".join("GF"[f] for f in fails),
)
def test_name_is_used_by_the_batch_that_prepares_it_alone(link, preparing, fails):
    """A Parse that is skipped makes no later batch fail, whichever of them fail."""
    batches = [first_fails(READ, READ) if fail else gather(READ, READ) for fail in fails]
    for _ in range(3):
        with link.record() as recording:
            results = preparing.run_many(batches)
        assert recording.client.count("S") == 2 * 3  # nothing is sent twice
        expected = [ROLLED_BACK if fail else COMMITTED for fail in fails]
        assert outcomes(results) == expected
        for result in results:
            if not isinstance(result, Ok):
                assert result.report.violation.constraint == "item_size_check"
                assert result.report.attempts == 1
    named = [name for name in parsed(recording) if name]
    assert not named or fails[0], "all are prepared by now, unless the first one has kept to it"
    assert len(set(parsed(recording))) == len(named) + (b"" in parsed(recording))


LOSSES = [
    "DISCARD ALL",
    "DEALLOCATE ALL",
    'DEALLOCATE "batchq_COMMIT"',
    'DEALLOCATE "batchq_BEGIN"',
]


@pytest.mark.parametrize("loss", LOSSES)
def test_lost_preparations_are_done_without(link, preparing, conn, loss):
    """Each that failed by it is sent once more, all together: they count as one loss."""

    def batches(start):
        good = [gather(item(start + n), READ) for n in range(4)]
        return [*good, gather(item(start), READ), first_fails(READ)]

    preparing.run_many(batches(10))
    preparing.run_many(batches(20))
    preparing.execute(loss)
    with link.record() as recording:
        results = preparing.run_many(batches(30))
    left_open = loss == 'DEALLOCATE "batchq_COMMIT"'  # so it is rolled back
    assert recording.client.count("S") == 2 * (2 * 6) + left_open
    assert outcomes(results) == [COMMITTED] * 4 + [ROLLED_BACK] * 2
    assert results[4].report.violation.constraint == "item_pkey"
    assert results[5].report.violation.constraint == "item_size_check"
    assert [each.report.attempts for each in results[4:]] == [2, 2]
    assert ids(conn) == [*range(10, 14), *range(20, 24), *range(30, 34)]
    assert state_of(preparing.conn).statements._losses == 1
    with link.record() as recording:
        assert outcomes(preparing.run_many([READ, READ])) == [COMMITTED] * 2
        assert outcomes(preparing.run_many([READ, READ])) == [COMMITTED] * 2
    assert recording.client.count("S") == 2 * (2 * 2)


def test_what_is_closed_is_closed_once(link, preparing, connect):
    """Only so many stay prepared, whichever batches use or drop them."""
    preparing.conn.prepared_max = 4
    reads = [sql(f"SELECT {n}").scalar(int) for n in range(12)]
    for start in range(8):
        few = [reads[(start * 2 + n) % 12] for n in range(5)]
        with link.record() as recording:
            results = preparing.run_many(few)
        sent = [each for each in recording.messages if each.sender == "client"]
        closed = [each.body for each in sent if each.kind == "C"]
        assert len(closed) == len(set(closed))
        assert [result.value for result in results] == [(start * 2 + n) % 12 for n in range(5)]
    own = state_of(preparing.conn).statements
    assert not own.to_close
    if isinstance(preparing, SyncClient):
        assert prepared(preparing.conn) == set(own._names.values())


def test_schema_that_changed_is_settled_for_each(preparing, conn):
    every = sql("SELECT * FROM item").all(tuple)
    preparing.run_many([item(1), every, every])
    preparing.run_many([every, every])
    conn.execute("ALTER TABLE item ADD extra int")
    results = preparing.run_many([every, item(2), every])
    assert outcomes(results) == [COMMITTED] * 3
    assert results[0].value == [(1, 1, None, None), (2, 1, None, None)]  # sent again, after item(2)


# -- interrupts ------------------------------------------------------------------------------------


def test_an_interrupt_notes_the_outcome_of_each(link, conn, connect):
    observer, holder = connect(), connect()
    lock_row(holder)
    with SyncClient(link.conninfo()) as client:
        pid = client.conn.info.backend_pid
        with (
            once_blocked(observer, pid, interrupt_main),
            pytest.raises(KeyboardInterrupt) as raised,
        ):
            client.run_many([item(7), item(8), BLOCKED_BATCH, item(9)])
        holder.execute("ROLLBACK")
        (note,) = raised.value.__notes__
        start = (
            "batchq: interrupted; the outcomes of the batches are 0-1 committed, 2 rolled_back, 3 "
        )
        assert note.startswith(start)
        # The cancel request is for the one that was blocked.
        outcome = Outcome(note.removeprefix(start))
        assert outcome is UNKNOWN or (outcome is COMMITTED) == (9 in ids(conn))
        if not client.conn.closed:
            assert client.run_many([READ, READ]) == [Ok(1), Ok(1)]
