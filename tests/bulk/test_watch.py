# SPDX-License-Identifier: MIT
"""What a watch keeps: copies, within bounds, that any thread may read."""

from __future__ import annotations

import json
import signal
import threading
from collections import Counter, deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Any
from uuid import UUID

import attrs
import pytest

from batchq.bulk import Progress, Report, StopReason
from batchq.bulk.progress.events import Event
from batchq.bulk.progress.monitor import Monitor
from tests.support.two_threads import WatchedLock

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def told(job: int = 1, **changes: Any) -> Progress:
    usual: dict[str, Any] = {
        "event": Event.CHUNK,
        "at": NOON,
        "job": UUID(int=job),
        "task": "vpc",
        "root": str(job),
        "table": "rule",
        "rows_done": 40,
        "expected": 100,
        "chunk_size": 10,
        "rate": 20.0,
    }
    return Progress(**{**usual, **changes})


def test_the_latest_events_are_kept_and_the_oldest_go_first() -> None:
    watch = Monitor(max_events=3)
    events = [told(rows_done=n) for n in range(5)]

    for event in events:
        watch(event)

    assert watch.recent == tuple(events[2:])


def test_of_each_job_the_latest_is_kept_however_many_events_there_were() -> None:
    watch = Monitor(max_events=3)
    watch(told(1, event=Event.STUCK))
    for n in range(50):
        watch(told(2, rows_done=n))

    assert watch.jobs == {
        UUID(int=1): told(1, event=Event.STUCK),
        UUID(int=2): told(2, rows_done=49),
    }


def test_the_job_that_was_not_heard_of_for_longest_goes_first() -> None:
    watch = Monitor(max_events=3)
    for job in (1, 2, 3, 1, 4):
        watch(told(job))

    assert list(watch.jobs) == [UUID(int=job) for job in (3, 1, 4)]


def test_a_watch_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Monitor\(max_events=0\)"):
        Monitor(max_events=0)


def test_the_bound_stays_as_it_was_made() -> None:
    with pytest.raises(attrs.exceptions.FrozenAttributeError):
        Monitor().max_events = 1


def test_activations_add_up_and_the_last_one_stays_by_itself() -> None:
    watch = Monitor()
    before = datetime.now(UTC)
    assert (watch.last_report, watch.lifetime, watch.last_ended_at) == (None, None, None)
    reports = [
        Report(chunks=2, rows=20, rows_by_table=Counter(rule=15, route=5), jobs_unfinished=4),
        Report(chunks=1, rows=7, rows_by_table=Counter(rule=7), retries=1, jobs_unfinished=1),
        Report(
            stop_reason=StopReason.THROTTLED,
            detail="lag",
            throttled=Counter(lag=1),
            jobs_unfinished=2,
        ),
    ]

    for report in reports:
        watch(report)

    assert watch.last_report == reports[2]
    assert watch.lifetime == reports[0] + reports[1] + reports[2]
    assert watch.lifetime.rows_by_table == {"rule": 22, "route": 5}
    assert watch.last_ended_at is not None
    assert before <= watch.last_ended_at <= datetime.now(UTC)


def test_a_report_that_is_counted_on_in_changes_nothing_that_is_kept() -> None:
    watch, report = Monitor(), Report(rows=5, rows_by_table=Counter(rule=5))
    watch(report)

    report.rows += 100
    report.rows_by_table["rule"] += 100

    assert watch.last_report == watch.lifetime == Report(rows=5, rows_by_table=Counter(rule=5))


def test_what_was_read_may_be_changed_by_whoever_read_it() -> None:
    watch = Monitor()
    watch(Report(rows_by_table=Counter(rule=5)))
    watch(told())

    for report in (watch.last_report, watch.lifetime):
        assert report is not None
        report.rows_by_table["rule"] += 100
    watch.jobs.clear()

    assert watch.last_report == watch.lifetime == Report(rows_by_table=Counter(rule=5))
    assert len(watch.jobs) == 1


def test_the_status_is_json_from_the_first_moment_on() -> None:
    status = Monitor().status()

    assert json.loads(json.dumps(status, allow_nan=False)) == status
    assert status.pop("jobs") == []
    assert set(status.values()) == {None}


def test_the_status_says_how_it_stands_and_survives_json() -> None:
    watch = Monitor()
    watch(told(7, event=Event.THROTTLED, detail="lag"))
    watch(told(8, table=None, expected=None, rate=None))
    first = Report(rows=5, chunks=2, rows_by_table=Counter(a=5), chunks_by_table=Counter(a=1, b=1))
    watch(first)
    watch(
        Report(
            stop_reason=StopReason.THROTTLED,
            detail="lag",
            rows=1,
            rows_by_table=Counter(a=1),
            throttled=Counter(lag=1),
            jobs_unfinished=3,
            oldest_job_age=timedelta(minutes=2),
        )
    )

    status = watch.status()

    assert json.loads(json.dumps(status, allow_nan=False)) == status
    assert datetime.fromisoformat(status["last_ended_at"]) == watch.last_ended_at
    assert (status["stop_reason"], status["detail"]) == ("THROTTLED", "lag")
    assert (status["jobs_unfinished"], status["oldest_job_age_seconds"]) == (3, 120.0)
    assert status["last_run_counters"]["tables"] == {"a": {"rows": 1, "chunks": 0}}
    assert status["last_run_counters"]["throttled"] == {"lag": 1}
    lifetime = status["lifetime_counters"]
    assert (lifetime["rows"], lifetime["chunks"]) == (6, 2)
    assert lifetime["tables"] == {"a": {"rows": 6, "chunks": 1}, "b": {"rows": 0, "chunks": 1}}
    assert status["jobs"] == [
        {
            "job": str(UUID(int=7)),
            "task": "vpc",
            "root": "7",
            "event": "THROTTLED",
            "at": NOON.isoformat(),
            "table": "rule",
            "rows_done": 40,
            "expected": 100,
            "remaining_seconds": 3.0,
            "rate": 20.0,
            "chunk_size": 10,
            "detail": "lag",
        },
        {
            **status["jobs"][0],
            "job": str(UUID(int=8)),
            "root": "8",
            "event": "CHUNK",
            "table": None,
            "expected": None,
            "remaining_seconds": None,
            "rate": None,
            "detail": "",
        },
    ]


def test_no_counter_of_a_report_is_left_out_of_the_status() -> None:
    names = [field.name for field in attrs.fields(Report) if field.type in {"int", int}]
    watch = Monitor()
    watch(Report(**dict.fromkeys(names, 3)))

    status = watch.status()

    assert len(names) > 5
    counters = {**status["last_run_counters"], "jobs_unfinished": status["jobs_unfinished"]}
    assert {name: counters.get(name) for name in names} == dict.fromkeys(names, 3)


class _Told(Report):
    """A report during whose adding up another activation tells one."""

    def __add__(self, later: Report) -> Report:
        if not self.turns.others:
            self.turns.meanwhile(lambda: self.watch(Report(rows=100)))
        return super().__add__(later)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Told:
        return self


def test_reports_that_are_told_at_the_same_time_are_both_counted() -> None:
    watch, first = Monitor(), _Told(rows=1)
    first.watch, first.turns = watch, WatchedLock()
    watch._lock = first.turns
    watch(first)

    watch(Report(rows=10))
    first.turns.join()

    assert watch.lifetime is not None
    assert watch.lifetime.rows == 111


class _Read(deque[Progress]):
    """Events that are told of one more while somebody reads them."""

    def __iter__(self) -> Iterator[Progress]:
        for event in super().__iter__():
            if not self.turns.others:
                self.turns.meanwhile(lambda: self.watch(told(2)))
            yield event


def test_what_is_told_while_somebody_reads_is_there_for_the_next_reader() -> None:
    watch, events = Monitor(), _Read()
    events.watch, events.turns = watch, WatchedLock()
    watch._lock, watch._recent = events.turns, events
    watch(told(1))

    first = watch.recent
    events.turns.join()

    assert first == (told(1),)
    assert watch.recent == (told(1), told(2))


def test_many_activations_and_many_readers_have_one_watch() -> None:
    watch = Monitor(max_events=50)

    def tell(first: int) -> None:
        for n in range(300):
            watch(told(first + n % 40))
            watch(Report(rows=1, rows_by_table=Counter(rule=1)))

    threads = [threading.Thread(target=tell, args=[1000 * n]) for n in range(4)]
    for thread in threads:
        thread.start()
    try:
        while any(thread.is_alive() for thread in threads):
            assert len(watch.recent) <= 50
            counters = watch.status()["lifetime_counters"]
            assert counters is None or counters["tables"]["rule"]["rows"] == counters["rows"]
    finally:
        for thread in threads:
            thread.join()

    assert watch.lifetime is not None
    assert (watch.lifetime.rows, len(watch.recent), len(watch.jobs)) == (1200, 50, 50)


class _Asked(dict[UUID, Progress]):
    """Jobs that are asked about by a signal's handler just while one of them is written."""

    def __setitem__(self, job: UUID, progress: Progress) -> None:
        super().__setitem__(job, progress)
        signal.raise_signal(signal.SIGUSR1)

    def move_to_end(self, job: UUID) -> None:
        self.update({job: self.pop(job)})


def test_a_handler_of_signals_may_read_in_the_thread_that_is_being_told() -> None:
    watch, seen = Monitor(), list[int]()
    watch._jobs = _Asked()

    def handle(_signal: int, _frame: FrameType | None) -> None:
        seen.append(len(watch.status()["jobs"]))

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        watch(told())
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert seen == [1]
