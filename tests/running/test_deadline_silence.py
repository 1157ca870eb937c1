# SPDX-License-Identifier: MIT
"""A network that falls silent at any message, without an end of file: every run ends, with the
outcome that the answers before the silence prove."""

from __future__ import annotations

from contextlib import ExitStack

import psycopg
import pytest

from batchq import DeadlineExceeded, Outcome, OutcomeUnknown, gather, sql
from batchq.result import Ok
from batchq.running import waiting
from batchq.testing import proxy
from tests.support.clients import ITEMS, AsyncClient, SyncClient, item
from tests.support.clock import standing_clock
from tests.support.flights import wrapped_wait

from .conftest import AsyncPoolClient, PoolClient

READ = sql("SELECT 1").scalar(int)

# BEGIN, the limit for the server, two steps, a Sync, COMMIT, a Sync.
REQUESTS = "PBDE" * 4 + "S" + "PBDE" + "S"
SUCCESS = "12nC" + "12TDC" + "12nC" + "12TDC" + "Z" + "12nC" + "Z"
BATCHES = {
    "success": (gather(item(1), READ), SUCCESS),
    "a step fails": (
        gather(item(1), item(2, size=0)),
        "12nC" + "12TDC" + "12nC" + "12nE" + "Z" + "12nCZ",
    ),
    "COMMIT fails": (
        gather(item(1, place=7), item(2, place=7)),
        "12nC" + "12TDC" + "12nC" + "12nC" + "Z" + "12nE" + "Z",
    ),
}
COMMANDS = 5  # BEGIN, the limit, two steps, COMMIT
LONG = 3600
KINDS = [SyncClient, AsyncClient, PoolClient, AsyncPoolClient]
ODD = (AsyncClient, PoolClient)
"""The kinds that see the odd places of a silence; the others see the even ones."""
of_each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def proven(seen: str) -> Outcome:
    """Return the outcome that these answers prove."""
    if "E" in seen:
        return Outcome.ROLLED_BACK
    return Outcome.COMMITTED if seen.count("C") == COMMANDS else Outcome.UNKNOWN


def places(kind, count) -> range:
    """Return the places of a silence for a kind: one sync and one async kind sees each place."""
    return range(kind in ODD, count, 2)


def outcome_of(answer) -> Outcome:
    return Outcome.COMMITTED if isinstance(answer, Ok) else answer.outcome


@pytest.fixture(autouse=True)
def items(conn, monkeypatch):
    conn.execute(ITEMS)
    # Nothing here waits for longer than it has to; that it ends is what counts.
    monkeypatch.setattr("batchq.engine.wire.deadline._TICK", 0.01)
    monkeypatch.setattr(waiting, "GRACE", 0.02)


class Waiting:
    """A wait for an answer, during which the deadline passes once all has come that will."""

    def __init__(self, link, clock):
        self.link, self.clock = link, clock

    def __call__(self, gen):
        ready = None
        while True:
            try:
                state = gen.send(ready)
            except StopIteration as stop:
                return stop.value
            silenced = self.link.silenced.is_set()
            ready = yield state
            if silenced and not ready:
                self.clock.pass_by(LONG)
                self.clock.step = 0.01  # and so does the grace


def attempt(kind, database, arm, batch, **options):
    """Run a batch over a link that is armed, with a deadline that passes in the silence."""
    with ExitStack() as until_closed, standing_clock() as clock:
        link = until_closed.enter_context(proxy(database))
        client = kind(link.conninfo(), prepare_threshold=None)
        arm(link)
        with wrapped_wait(Waiting(link, clock)):
            answer = client.attempt(batch, deadline=LONG, **options)
    client.close()  # a pool is connecting to the silent link by now
    return answer


@of_each_kind
@pytest.mark.parametrize("name", BATCHES)
def test_the_outcome_follows_from_the_answers_before_the_silence(database, conn, kind, name):
    batch, answers = BATCHES[name]
    for after in places(kind, len(answers)):
        conn.execute("TRUNCATE item")

        def arm(link, after=after):
            link.hold(syncs=2)
            link.silence_answers(after=after)

        outcome = outcome_of(attempt(kind, database, arm, batch))
        assert outcome is proven(answers[:after])
        rows = conn.execute("SELECT count(*) FROM item").fetchone()[0]
        assert outcome is Outcome.UNKNOWN or (rows > 0) == (outcome is Outcome.COMMITTED)


@of_each_kind
def test_no_answer_at_all_is_taken_for_none(database, conn, kind):
    for after in places(kind, len(REQUESTS) + 1):
        answer = attempt(
            kind,
            database,
            lambda link, after=after: link.silence_requests(after=after),
            gather(item(2 * after), item(2 * after + 1)),
        )
        assert isinstance(answer.error, OutcomeUnknown)
        assert "the deadline passed" in str(answer.error)
        assert answer.report.step is None
        assert isinstance(answer.error.__cause__, psycopg.OperationalError)
    # That is why it is unknown: with the Execute of COMMIT it was done.
    done = [n for n in places(kind, len(REQUESTS) + 1) if n > REQUESTS.rindex("E")]
    kept = [row[0] for row in conn.execute("SELECT id FROM item ORDER BY id")]
    assert kept == [number for after in done for number in (2 * after, 2 * after + 1)]


@of_each_kind
def test_silence_in_a_read_only_batch_applies_nothing(database, kind):
    answer = attempt(
        kind, database, lambda link: link.silence_answers(after=0), READ, read_only=True
    )
    assert isinstance(answer.error, DeadlineExceeded)
    assert answer.outcome is Outcome.ROLLED_BACK


@of_each_kind
def test_a_flight_that_the_network_does_not_take_ends_too(database, conn, kind):
    """It is longer than all buffers on the way."""
    batch = gather(item(1), sql("SELECT length(%(x)s::text)", x="x" * 30_000_000))
    answer = attempt(kind, database, lambda link: link.silence_requests(after=1), batch)
    assert isinstance(answer.error, OutcomeUnknown)
    assert conn.execute("SELECT count(*) FROM item").fetchone() == (0,)
