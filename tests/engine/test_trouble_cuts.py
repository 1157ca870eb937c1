# SPDX-License-Identifier: MIT
"""The link is cut after each message in turn: the outcome says what got through, and it is true."""

from __future__ import annotations

import pytest
from psycopg_pool import ConnectionPool

import batchq
from batchq import ConnectionFailed, Outcome, OutcomeUnknown, gather, sql
from batchq.result import Ok
from batchq.testing import error_response
from tests.support.clients import SyncClient, item

pytestmark = pytest.mark.link(prepare_threshold=None)

REQUESTS = "PBDEPBDEPBDESPBDES"

READ = sql("SELECT 1").scalar(int)

# What the server answers: to BEGIN, two steps, a Sync, COMMIT and a Sync.
SUCCESS = "12nC" + "12nC" + "12TDC" + "Z" + "12nC" + "Z"
BATCHES = {
    "success": (gather(item(1), READ), SUCCESS),
    "a step fails": (gather(item(1), item(2, size=0)), "12nC" + "12nC" + "12nE" + "Z" + "12nCZ"),
    "COMMIT fails": (
        gather(item(1, place=7), item(2, place=7)),
        "12nC" + "12nC" + "12nC" + "Z" + "12nE" + "Z",
    ),
}
COMMANDS = 4  # BEGIN, two steps, COMMIT


def proven(seen: str) -> Outcome:
    """Return the outcome that a client can know from these answers."""
    if "E" in seen:
        return Outcome.ROLLED_BACK
    return Outcome.COMMITTED if seen.count("C") == COMMANDS else Outcome.UNKNOWN


def outcome_of(answer) -> Outcome:
    return Outcome.COMMITTED if isinstance(answer, Ok) else answer.outcome


def is_true(outcome, conn) -> bool:
    """Whether the table is as the outcome says."""
    rows = conn.execute("SELECT count(*) FROM item").fetchone()[0]
    return outcome is Outcome.UNKNOWN or (rows > 0) == (outcome is Outcome.COMMITTED)


@pytest.mark.parametrize(
    ("name", "after"),
    [(name, after) for name, (_, answers) in BATCHES.items() for after in range(len(answers) + 1)],
)
def test_the_outcome_follows_from_the_answers_that_came(link, client, conn, name, after):
    batch, answers = BATCHES[name]
    link.hold(syncs=2)
    link.cut_answers(after=after)
    with link.record() as recording:
        answer = client.attempt(batch)
    assert recording.client == REQUESTS
    assert recording.server == answers[:after]
    outcome = outcome_of(answer)
    assert outcome is proven(answers[:after])
    assert is_true(outcome, conn)
    assert client.conn.closed or after == len(answers)
    if outcome is Outcome.UNKNOWN:
        assert isinstance(answer.error, OutcomeUnknown)
        assert answer.report.step is None


@pytest.mark.parametrize("after", range(len(REQUESTS) + 1))
def test_no_answer_at_all_is_never_taken_for_one(link, client, conn, after):
    """The server has got any part of the flight, and done it, or nothing."""
    link.cut_requests(after=after)
    answer = client.attempt(gather(item(1), item(2)))
    assert answer.outcome is Outcome.UNKNOWN
    assert client.conn.closed
    # COMMIT may well have run: that is why the outcome is unknown.
    committed = after > REQUESTS.rindex("E")
    assert conn.execute("SELECT count(*) FROM item").fetchone() == (2 * committed,)


OWN = {"source_file": "postgres.c", "source_function": "ProcessInterrupts"}
FATAL = error_response(
    "FATAL", "57P01", "terminating connection due to administrator command", **OWN
)


def test_fatal_right_after_the_commit_tag_rolls_nothing_back(link, client, conn):
    link.hold(syncs=2)
    link.cut_answers(after=SUCCESS.rindex("C") + 1, final_messages=FATAL)
    assert client.run(gather(item(1), READ)) == (None, 1)
    assert client.conn.closed
    assert is_true(Outcome.COMMITTED, conn)


def test_a_fatal_in_the_place_of_commits_answer_leaves_the_outcome_unknown(link, client):
    link.hold(syncs=2)
    link.cut_answers(after=SUCCESS.index("Z") + 1, final_messages=FATAL)
    answer = client.attempt(gather(item(1), READ))
    assert isinstance(answer.error, OutcomeUnknown)
    assert answer.report.violation.sqlstate == "57P01"
    assert answer.report.step is None
    assert client.conn.closed


@pytest.mark.parametrize("after", [0, len("12nC"), len("12nC12n"), SUCCESS.index("Z")])
def test_fatal_before_commit_rolls_back_and_names_no_step(link, client, after):
    link.cut_answers(after=after, final_messages=FATAL)
    answer = client.attempt(gather(item(1), READ))
    assert isinstance(answer.error, ConnectionFailed)
    assert answer.outcome is Outcome.ROLLED_BACK
    assert answer.report.step is None
    assert client.conn.closed


POOLERS = {
    "FATAL of class 08": error_response("FATAL", "08P01", "server conn lost"),
    "FATAL of class 08, passed on": error_response("FATAL", "08006", "server conn lost", **OWN),
    "FATAL": error_response("FATAL", "57P01", "the pooler is shutting down"),
    "ERROR": error_response("ERROR", "58000", "server login has been failing"),
}


@pytest.mark.parametrize("words", POOLERS.values(), ids=POOLERS)
@pytest.mark.parametrize("after", [0, len("12nC"), SUCCESS.index("Z") + 1])
def test_pooler_message_of_a_lost_server_does_not_prove_a_rollback(
    link, client, conn, after, words
):
    """By then the server may have committed: PgBouncer's query_timeout and KILL do so."""
    link.hold(syncs=2)
    link.cut_answers(after=after, final_messages=words)
    answer = client.attempt(gather(item(1), READ))
    assert isinstance(answer.error, OutcomeUnknown)
    assert answer.report.step is None
    assert client.conn.closed
    assert conn.execute("SELECT count(*) FROM item").fetchone() == (1,)


@pytest.mark.parametrize("after", range(SUCCESS.rindex("C") + 1))
def test_read_only_batch_applies_nothing_wherever_the_link_is_cut(link, client, after):
    link.hold(syncs=2)
    link.cut_answers(after=after)
    answer = client.attempt(gather(READ, READ), read_only=True)
    assert isinstance(answer.error, ConnectionFailed)
    assert answer.outcome is Outcome.ROLLED_BACK


def test_a_pool_gets_no_connection_back_that_was_cut(link, conn):
    with ConnectionPool(link.conninfo(), min_size=1, max_size=1) as pool:
        with pool.connection() as first:
            pass
        link.hold(syncs=2)
        link.cut_answers(after=SUCCESS.rindex("C") + 1, final_messages=FATAL)
        first.prepare_threshold = None
        assert batchq.run(pool, gather(item(1), READ)) == (None, 1)
        assert first.closed
        assert batchq.run(pool, READ) == 1
    assert is_true(Outcome.COMMITTED, conn)


class TestBegin:
    """A BEGIN that fails leaves every step to be skipped, and COMMIT answers `COMMIT` all the same:
    after the Sync it is a command of its own, outside any transaction."""

    @pytest.fixture
    def client(self, link):
        """BEGIN, COMMIT and the step are prepared; and then only BEGIN is lost."""
        with SyncClient(link.conninfo(), prepare_threshold=0) as client:
            client.run(item(1))
            client.execute('DEALLOCATE "batchq_BEGIN"')
            yield client

    ANSWERS = "E" + "Z" + "2nNC" + "Z"  # the notice: WARNING 25P01

    @pytest.mark.parametrize("after", range(1, len(ANSWERS)))
    def test_cut_is_never_taken_for_a_commit(self, link, client, conn, after):
        # The cut keeps batchq from preparing again and sending once more.
        link.hold(syncs=2)
        link.cut_answers(after=after)
        with link.record() as recording:
            answer = client.attempt(item(2))
        assert recording.server == self.ANSWERS[:after]
        assert answer.outcome is Outcome.ROLLED_BACK
        assert answer.report.violation.sqlstate == "26000"
        assert answer.report.step is None
        assert conn.execute("SELECT id FROM item").fetchall() == [(1,)]
