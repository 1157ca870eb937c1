# SPDX-License-Identifier: MIT
"""The events and reports that observers receive, and observers that raise."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from batchq.bulk import Budget, ChunkSize, Progress, Report, StopReason
from batchq.bulk.progress.events import Event
from batchq.testing import proxy

At = Callable[[int, Callable[[], object]], Callable[[], None]]


class Events(list[Any]):
    """A watcher that keeps everything."""

    __call__ = list.append

    @property
    def events(self) -> list[Event]:
        return [received.event for received in self[:-1]]

    def of(self, event: Event) -> Progress:
        """Return the progress of the only such event."""
        (found,) = [received for received in self[:-1] if received.event is event]
        return found


CHUNKS = [Event.CHUNK] * 4


def test_each_event_has_the_progress_and_the_report_comes_last(fenced: Any) -> None:
    fenced.conn.execute("ANALYZE rule")
    received = Events()
    report = fenced.resume(observers=[received])
    assert received.events == [Event.CLAIMED, *CHUNKS, Event.DONE]
    assert received[-1] == report
    progress: list[Progress] = received[:-1]
    assert [one.rows for one in progress] == [0, 300, 300, 300, 100, 0]
    assert [one.rows_done for one in progress] == [0, 300, 600, 900, 1_000, 1_000]
    assert [one.table for one in progress] == [*["rule"] * 5, None]
    assert {one.chunk_size for one in progress} == {300}
    assert {(one.task, one.root, one.job, one.detail) for one in progress} == {
        ("vpc", "1", fenced.job("id"), "")
    }
    assert all(one.at.tzinfo is UTC for one in progress)
    assert sorted(one.at for one in progress) == [one.at for one in progress]


def test_rate_and_remaining_time_follow_from_the_chunks(fenced: Any) -> None:
    fenced.conn.execute("ANALYZE rule")
    received = Events()
    fenced.resume(observers=[received])
    first, *chunks, last = received[:-1]
    assert {one.expected for one in received[:-1]} == {1_000}  # 1,000 of 1,010 are this parent's
    assert (first.rate, first.remaining, first.elapsed) == (None, None, 0)
    total = 0.0
    for one in chunks:
        total += one.elapsed
        assert one.elapsed > 0
        assert 0 < one.rate <= one.rows_done / total
        assert one.remaining == (1_000 - one.rows_done) / one.rate
    assert last.remaining == 0


def test_expected_rows_grow_with_the_rows_done(fenced: Any) -> None:
    """The statistics may be of a time when there were none."""
    fenced.conn.execute("DELETE FROM rule WHERE vpc_id = 1 AND id > 10; ANALYZE rule")
    fenced.conn.execute("INSERT INTO rule SELECT n, 1 FROM generate_series(11, 1000) n")
    received = Events()
    fenced.resume(observers=[received])
    assert all(one.expected >= one.rows_done for one in received[:-1])
    assert received[0].expected < 1_000
    assert received[-2].expected == 1_000


def test_resumed_job_keeps_its_estimate_and_counts_all_its_rows(
    fenced: Any,
) -> None:
    fenced.conn.execute("ANALYZE rule")
    fenced.resume(budget=Budget(chunks=2))
    received = Events()
    fenced.resume(observers=[received])
    claimed, chunk = received[:2]
    assert (claimed.rows_done, chunk.rows_done) == (600, 900)
    assert (claimed.expected, chunk.expected) == (1_000, 1_000)
    assert chunk.rate <= 300 / chunk.elapsed  # of this activation, not of its whole life


# -- the other events ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "reason", "rows", "detail"),
    [
        ({"budget": Budget(chunks=2)}, StopReason.CHUNKS, 600, "chunks"),
        ({"budget": Budget(rows=301)}, StopReason.ROWS, 600, "rows"),
        ({"budget": Budget(seconds=0)}, StopReason.SECONDS, 0, "seconds"),
        ({"stop": lambda: True}, StopReason.INTERRUPTED, 0, "asked to stop"),
        ({"throttles": [lambda: None, lambda: "replica lag"]}, StopReason.THROTTLED, 0, "lag"),
    ],
    ids=["chunks", "rows", "seconds", "stop", "throttle"],
)
def test_stop_reason_is_in_report_and_events_and_the_job_released(
    fenced: Any, options: dict[str, Any], reason: StopReason, rows: int, detail: str
) -> None:
    received = Events()
    report = fenced.resume(observers=[received], **options)
    assert (report.stop_reason, report.rows) == (reason, rows)
    assert (report.jobs_released, report.jobs_done) == (1, 0)
    assert received.events[-1] is Event.RELEASED
    assert detail in received.of(Event.RELEASED).detail
    if reason is StopReason.THROTTLED:
        assert report.detail == received.of(Event.THROTTLED).detail == "replica lag"
    assert fenced.job("phase, rows_done, lease_until, owner") == ("active", rows, None, None)
    fenced.resume()
    fenced.assert_deleted()


def test_released_event_of_a_rejected_job_has_the_servers_message(fenced: Any) -> None:
    fenced.conn.execute("ALTER TABLE rule RENAME TO elsewhere")
    received = Events()
    fenced.resume(observers=[received])
    assert received.events == [Event.CLAIMED, Event.RELEASED]
    assert "42P01" in received.of(Event.RELEASED).detail


def test_released_event_of_a_lost_connection_has_the_error(
    fenced: Any, connect: Callable[..., Any], at: At
) -> None:
    """And not with the reason that activations end for when all is well."""
    worker, received = connect(), Events()
    report = fenced.resume(worker, observers=[received], throttles=[at(2, worker.close)])
    assert received.events == [Event.CLAIMED, Event.CHUNK, Event.RETRIED, Event.RELEASED]
    assert received.of(Event.RELEASED).detail == report.detail


def test_restarted_event_names_the_late_row(
    fenced: Any, connect: Callable[..., Any], at: At
) -> None:
    writer, received = connect(), Events()
    late = at(5, lambda: writer.execute("INSERT INTO rule VALUES (5000, 1)"))
    fenced.resume(observers=[received], throttles=[late])
    again = [Event.RESTARTED, *CHUNKS[:1], Event.DONE]
    assert received.events == [Event.CLAIMED, *CHUNKS, *again]
    assert "rule" in received.of(Event.RESTARTED).detail
    assert "5000" in received.of(Event.RESTARTED).detail
    assert received[-2].rows_done == 1_001


def test_stuck_event_has_the_last_error(fenced: Any) -> None:
    fenced.conn.execute("UPDATE vpc SET rcgen = rcgen + 1")
    received = Events()
    fenced.resume(observers=[received])
    assert received.events == [Event.CLAIMED, Event.STUCK]
    assert received.of(Event.STUCK).detail == fenced.job("last_error")


def test_retried_event_has_the_servers_message(fenced: Any, connect: Callable[..., Any]) -> None:
    holder = connect()
    holder.execute("BEGIN")
    holder.execute("SELECT FROM rule WHERE id = 1 FOR UPDATE")
    received = Events()

    def let_in(one: Any) -> None:
        if isinstance(one, Progress) and one.event is Event.RETRIED:
            holder.execute("ROLLBACK")

    size = ChunkSize(minimum=10, initial=400, maximum=400, target=3600)
    fenced.resume(observers=[received, let_in], timeout=1, chunk_size=size)
    assert received.events[:3] == [Event.CLAIMED, Event.RETRIED, Event.CHUNK]
    retried = received.of(Event.RETRIED)
    assert "57014" in retried.detail
    assert (retried.rows, retried.rows_done, retried.chunk_size) == (0, 0, 100)
    assert received[2].rows == 100


def test_lease_lost_event_is_sent_to_the_old_owner(
    fenced: Any, connect: Callable[..., Any], at: At
) -> None:
    received = Events()

    def take_away() -> None:
        fenced.end_lease()
        fenced.resume()

    fenced.resume(connect(), observers=[received], throttles=[at(2, take_away)])
    assert received.events == [Event.CLAIMED, Event.CHUNK, Event.LEASE_LOST]
    assert received.of(Event.LEASE_LOST).rows_done == 300


def test_chunk_events_add_up_to_the_rows_counted(fenced: Any, database: str, at: At) -> None:
    """Those of a chunk whose answer was lost as well: it is read again."""
    received = Events()
    settings: Any = {"min_size": 1, "max_size": 1, "open": True}
    with proxy(database) as link, ConnectionPool(link.conninfo(), **settings) as pool:

        def cut() -> None:
            link.hold(syncs=2)
            link.cut_answers(after=0)

        report = fenced.resume(pool, observers=[received], throttles=[at(2, cut)])
    assert report.rows == 1_000
    assert sum(one.rows for one in received[:-1]) == 1_000


# -- watchers that raise ---------------------------------------------------------------------------


class Broken(Exception):
    """A bug of the caller's."""


@pytest.mark.parametrize("event", [Event.CLAIMED, Event.CHUNK, Event.DONE, Event.RELEASED, None])
def test_error_of_an_observer_is_raised_and_the_job_released(
    fenced: Any, event: Event | None
) -> None:
    def observer(received: Progress | Report) -> None:
        if event is (received.event if isinstance(received, Progress) else None):
            raise Broken

    budget = Budget(chunks=2) if event is Event.RELEASED else Budget()
    with pytest.raises(Broken):
        fenced.resume(observers=[observer], budget=budget)
    assert fenced.job("lease_until") is None
    fenced.assert_exact()
    fenced.resume()
    fenced.assert_deleted()


def test_error_of_an_observer_keeps_what_is_known_of_a_stuck_job(fenced: Any) -> None:
    fenced.conn.execute("UPDATE vpc SET rcgen = rcgen + 1")

    def observer(received: Progress | Report) -> None:
        if isinstance(received, Progress) and received.event is Event.STUCK:
            raise Broken

    with pytest.raises(Broken):
        fenced.resume(observers=[observer])
    phase, error = fenced.job("phase, last_error")
    assert phase == "stuck"
    assert "at generation 2 and not 1" in error


def test_report_of_an_observer_is_its_own_copy(fenced: Any) -> None:
    """One may keep it and add it up, whatever becomes of the one that is returned."""
    received = Events()
    report = fenced.resume(observers=[received])
    kept = received[-1]
    report.rows += 1
    report.rows_by_table["rule"] += 1
    report.throttled["x"] += 1
    assert (kept.rows, kept.rows_by_table, kept.throttled) == (1_000, {"rule": 1_000}, {})
