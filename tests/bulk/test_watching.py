# SPDX-License-Identifier: MIT
"""What watchers are told of a job, event by event, and what comes of one that raises."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC
from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from batchq.bulk import Budget, ChunkSize, Progress, Report
from batchq.bulk.progress.events import Event
from batchq.testing import proxy
from tests.support.titles import title

At = Callable[[int, Callable[[], object]], Callable[[], None]]


@pytest.fixture
def fenced(estate: Any) -> Any:
    estate.fence()
    return estate


class Events(list[Any]):
    """A watcher that keeps everything."""

    __call__ = list.append

    @property
    def events(self) -> list[Event]:
        return [told.event for told in self[:-1]]

    def of(self, event: Event) -> Progress:
        """The only one of its kind."""
        (found,) = [told for told in self[:-1] if told.event is event]
        return found


CHUNKS = [Event.CHUNK] * 4


def test_each_event_is_told_with_how_far_the_job_is_and_the_report_at_the_end(fenced: Any) -> None:
    fenced.conn.execute("ANALYZE rule")
    told = Events()
    report = fenced.resume(observers=[told])
    assert told.events == [Event.CLAIMED, *CHUNKS, Event.DONE]
    assert told[-1] == report
    progress: list[Progress] = told[:-1]
    assert [one.rows for one in progress] == [0, 300, 300, 300, 100, 0]
    assert [one.rows_done for one in progress] == [0, 300, 600, 900, 1_000, 1_000]
    assert [one.table for one in progress] == [*["rule"] * 5, None]
    assert {one.chunk_size for one in progress} == {300}
    assert {(one.task, one.root, one.job, one.detail) for one in progress} == {
        ("vpc", "1", fenced.job("id"), "")
    }
    assert all(one.at.tzinfo is UTC for one in progress)
    assert sorted(one.at for one in progress) == [one.at for one in progress]


def test_rates_and_what_remains_follow_from_the_chunks(fenced: Any) -> None:
    fenced.conn.execute("ANALYZE rule")
    told = Events()
    fenced.resume(observers=[told])
    first, *chunks, last = told[:-1]
    assert {one.expected for one in told[:-1]} == {1_000}  # 1,000 of 1,010 are this parent's
    assert (first.rate, first.remaining, first.elapsed) == (None, None, 0)
    total = 0.0
    for one in chunks:
        total += one.elapsed
        assert one.elapsed > 0
        assert 0 < one.rate <= one.rows_done / total
        assert one.remaining == (1_000 - one.rows_done) / one.rate
    assert last.remaining == 0


def test_more_rows_than_expected_are_expected_by_then(fenced: Any) -> None:
    """The statistics may be of a time when there were none."""
    fenced.conn.execute("DELETE FROM rule WHERE vpc_id = 1 AND id > 10; ANALYZE rule")
    fenced.conn.execute("INSERT INTO rule SELECT n, 1 FROM generate_series(11, 1000) n")
    told = Events()
    fenced.resume(observers=[told])
    assert all(one.expected >= one.rows_done for one in told[:-1])
    assert told[0].expected < 1_000
    assert told[-2].expected == 1_000


def test_a_job_that_is_taken_up_again_expects_what_it_did_and_counts_its_whole_life(
    fenced: Any,
) -> None:
    fenced.conn.execute("ANALYZE rule")
    fenced.resume(budget=Budget(chunks=2))
    told = Events()
    fenced.resume(observers=[told])
    claimed, chunk = told[:2]
    assert (claimed.rows_done, chunk.rows_done) == (600, 900)
    assert (claimed.expected, chunk.expected) == (1_000, 1_000)
    assert chunk.rate <= 300 / chunk.elapsed  # of this activation, not of its whole life


def test_every_event_and_report_can_be_written_down(fenced: Any) -> None:
    told = Events()
    fenced.resume(observers=[told])
    assert all(json.dumps(repr(one)) for one in told)


# -- the other events ------------------------------------------------------------------------------


def test_a_throttle_that_holds_it_back_is_told_with_its_reason(fenced: Any) -> None:
    told = Events()
    fenced.resume(observers=[told], throttles=[lambda: "replica lag" if len(told) == 3 else None])
    assert told.events == [Event.CLAIMED, *CHUNKS[:2], Event.THROTTLED, Event.RELEASED]
    held = told.of(Event.THROTTLED)
    assert (held.detail, held.rows_done, held.table) == ("replica lag", 600, "rule")
    assert held.at >= told[2].at


@pytest.mark.parametrize(
    ("options", "detail"),
    [
        ({"budget": Budget(chunks=1)}, "chunks"),
        ({"budget": Budget(rows=1)}, "rows"),
        ({"budget": Budget(seconds=0)}, "seconds"),
        ({"stop": lambda: True}, "asked to stop"),
        ({"throttles": [lambda: "lag"]}, "lag"),
    ],
    ids=title,
)
def test_a_job_that_is_deferred_is_told_with_the_reason(
    fenced: Any, options: dict[str, Any], detail: str
) -> None:
    told = Events()
    fenced.resume(observers=[told], **options)
    assert told.events[-1] is Event.RELEASED
    assert detail in told.of(Event.RELEASED).detail


def test_a_job_that_the_server_refuses_is_deferred_with_what_it_said(fenced: Any) -> None:
    fenced.conn.execute("ALTER TABLE rule RENAME TO elsewhere")
    told = Events()
    fenced.resume(observers=[told])
    assert told.events == [Event.CLAIMED, Event.RELEASED]
    assert "42P01" in told.of(Event.RELEASED).detail


def test_a_job_whose_activation_lost_its_connection_is_deferred_with_that(
    fenced: Any, connect: Callable[..., Any], at: At
) -> None:
    """And not with the reason that activations end for when all is well."""
    worker, told = connect(), Events()
    report = fenced.resume(worker, observers=[told], throttles=[at(2, worker.close)])
    assert told.events == [Event.CLAIMED, Event.CHUNK, Event.RETRIED, Event.RELEASED]
    assert told.of(Event.RELEASED).detail == report.detail


def test_late_rows_are_told_with_where_they_are_and_then_swept(
    fenced: Any, connect: Callable[..., Any], at: At
) -> None:
    writer, told = connect(), Events()
    late = at(5, lambda: writer.execute("INSERT INTO rule VALUES (5000, 1)"))
    fenced.resume(observers=[told], throttles=[late])
    again = [Event.RESTARTED, *CHUNKS[:1], Event.DONE]
    assert told.events == [Event.CLAIMED, *CHUNKS, *again]
    assert "rule" in told.of(Event.RESTARTED).detail
    assert "5000" in told.of(Event.RESTARTED).detail
    assert told[-2].rows_done == 1_001


def test_a_stuck_job_is_told_with_what_somebody_has_to_look_at(fenced: Any) -> None:
    fenced.conn.execute("UPDATE vpc SET rcgen = rcgen + 1")
    told = Events()
    fenced.resume(observers=[told])
    assert told.events == [Event.CLAIMED, Event.STUCK]
    assert told.of(Event.STUCK).detail == fenced.job("last_error")


def test_a_step_that_is_tried_again_is_told_with_what_the_server_said(
    fenced: Any, connect: Callable[..., Any]
) -> None:
    holder = connect()
    holder.execute("BEGIN")
    holder.execute("SELECT FROM rule WHERE id = 1 FOR UPDATE")
    told = Events()

    def let_in(one: Any) -> None:
        if isinstance(one, Progress) and one.event is Event.RETRIED:
            holder.execute("ROLLBACK")

    size = ChunkSize(minimum=10, initial=400, maximum=400, target=3600)
    fenced.resume(observers=[told, let_in], timeout=1, chunk_size=size)
    assert told.events[:3] == [Event.CLAIMED, Event.RETRIED, Event.CHUNK]
    retried = told.of(Event.RETRIED)
    assert "57014" in retried.detail
    assert (retried.rows, retried.rows_done, retried.chunk_size) == (0, 0, 100)
    assert told[2].rows == 100


def test_an_owner_is_told_that_somebody_else_has_the_job_now(
    fenced: Any, connect: Callable[..., Any], at: At
) -> None:
    told = Events()

    def take_away() -> None:
        fenced.end_lease()
        fenced.resume()

    fenced.resume(connect(), observers=[told], throttles=[at(2, take_away)])
    assert told.events == [Event.CLAIMED, Event.CHUNK, Event.LEASE_LOST]
    assert told.of(Event.LEASE_LOST).rows_done == 300


def test_every_row_that_is_counted_is_told(fenced: Any, database: str, at: At) -> None:
    """Those of a chunk whose answer was lost as well: it is read again."""
    told = Events()
    settings: Any = {"min_size": 1, "max_size": 1, "open": True}
    with proxy(database) as link, ConnectionPool(link.conninfo(), **settings) as pool:

        def cut() -> None:
            link.hold(syncs=2)
            link.cut_answers(after=0)

        report = fenced.resume(pool, observers=[told], throttles=[at(2, cut)])
    assert report.rows == 1_000
    assert sum(one.rows for one in told[:-1]) == 1_000


# -- watchers that raise ---------------------------------------------------------------------------


class Broken(Exception):
    """A bug of the caller's."""


@pytest.mark.parametrize("event", [Event.CLAIMED, Event.CHUNK, Event.DONE, Event.RELEASED, None])
def test_what_a_watcher_raises_is_the_callers_and_the_job_is_free_at_once(
    fenced: Any, event: Event | None
) -> None:
    def observer(told: Progress | Report) -> None:
        if event is (told.event if isinstance(told, Progress) else None):
            raise Broken

    budget = Budget(chunks=2) if event is Event.RELEASED else Budget()
    with pytest.raises(Broken):
        fenced.resume(observers=[observer], budget=budget)
    assert fenced.job("lease_until") is None
    fenced.assert_exact()
    fenced.resume()
    fenced.assert_gone()


def test_what_a_watcher_raises_of_a_stuck_job_takes_nothing_of_what_is_known(fenced: Any) -> None:
    fenced.conn.execute("UPDATE vpc SET rcgen = rcgen + 1")

    def observer(told: Progress | Report) -> None:
        if isinstance(told, Progress) and told.event is Event.STUCK:
            raise Broken

    with pytest.raises(Broken):
        fenced.resume(observers=[observer])
    phase, error = fenced.job("phase, last_error")
    assert phase == "stuck"
    assert "at generation 2 and not 1" in error


@pytest.mark.parametrize("place", ["throttles", "stop"])
@pytest.mark.parametrize("when", [1, 3, 5])
def test_what_a_throttle_or_stop_raises_is_the_callers_and_the_job_is_free_at_once(
    fenced: Any, at: At, place: str, when: int
) -> None:
    def broken() -> None:
        raise Broken

    asked = at(when, broken)
    with pytest.raises(Broken):
        fenced.resume(**{place: [asked] if place == "throttles" else asked})
    assert fenced.job("lease_until, owner, rows_done") == (None, None, min(300 * (when - 1), 1_000))
    fenced.assert_exact()
    fenced.resume()
    fenced.assert_gone()


def test_the_report_that_watchers_are_told_is_nobody_elses(fenced: Any) -> None:
    """One may keep it and add it up, whatever becomes of the one that is returned."""
    told = Events()
    report = fenced.resume(observers=[told])
    kept = told[-1]
    report.rows += 1
    report.rows_by_table["rule"] += 1
    report.throttled["x"] += 1
    assert (kept.rows, kept.rows_by_table, kept.throttled) == (1_000, {"rule": 1_000}, {})
