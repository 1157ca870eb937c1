# SPDX-License-Identifier: MIT
"""What a Monitor keeps: copies, within bounds, readable by any thread."""

from __future__ import annotations

import json
import signal
import threading
from collections import Counter, deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from types import FrameType
from typing import Any
from uuid import UUID

import attrs
import pytest

from batchq.bulk import Progress, Report, StopReason
from batchq.bulk.progress.events import Event
from batchq.bulk.progress.monitor import Monitor
from tests.support.progress_events import progress as example
from tests.support.two_threads import WatchedLock

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


progress = partial(example, at=NOON, expected=100, rate=20.0)


def test_monitor_drops_the_oldest_events_first() -> None:
    watched = Monitor(max_events=3)
    events = [progress(1, rows_done=n) for n in range(5)]

    for event in events:
        watched(event)

    assert watched.recent == tuple(events[2:])


def test_monitor_keeps_the_latest_event_of_each_job() -> None:
    watched = Monitor(max_events=3)
    watched(progress(1, event=Event.STUCK))
    for n in range(50):
        watched(progress(2, rows_done=n))

    assert watched.jobs == {
        UUID(int=1): progress(1, event=Event.STUCK),
        UUID(int=2): progress(2, rows_done=49),
    }


def test_monitor_drops_the_job_without_news_for_longest() -> None:
    watched = Monitor(max_events=3)
    for job in (1, 2, 3, 1, 4):
        watched(progress(job))

    assert list(watched.jobs) == [UUID(int=job) for job in (3, 1, 4)]


def test_monitor_of_no_events_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"Monitor\(max_events=0\)"):
        Monitor(max_events=0)


def test_monitor_limit_is_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenAttributeError):
        Monitor().max_events = 1


def test_monitor_adds_reports_and_keeps_the_last() -> None:
    watched = Monitor()
    before = datetime.now(UTC)
    assert (watched.last_report, watched.lifetime, watched.last_ended_at) == (None, None, None)
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
        watched(report)

    assert watched.last_report == reports[2]
    assert watched.lifetime == reports[0] + reports[1] + reports[2]
    assert watched.lifetime.rows_by_table == {"rule": 22, "route": 5}
    assert watched.last_ended_at is not None
    assert before <= watched.last_ended_at <= datetime.now(UTC)


def test_monitor_is_unaffected_by_a_report_that_counts_on() -> None:
    watched, report = Monitor(), Report(rows=5, rows_by_table=Counter(rule=5))
    watched(report)

    report.rows += 100
    report.rows_by_table["rule"] += 100

    assert watched.last_report == watched.lifetime == Report(rows=5, rows_by_table=Counter(rule=5))


def test_monitor_returns_copies() -> None:
    watched = Monitor()
    watched(Report(rows_by_table=Counter(rule=5)))
    watched(progress(1))

    for report in (watched.last_report, watched.lifetime):
        assert report is not None
        report.rows_by_table["rule"] += 100
    watched.jobs.clear()

    assert watched.last_report == watched.lifetime == Report(rows_by_table=Counter(rule=5))
    assert len(watched.jobs) == 1


def test_monitor_status_is_json_before_the_first_event() -> None:
    status = Monitor().status()

    assert json.loads(json.dumps(status, allow_nan=False)) == status
    assert status.pop("jobs") == []
    assert set(status.values()) == {None}


def test_monitor_status_survives_json() -> None:
    watched = Monitor()
    watched(progress(7, event=Event.THROTTLED, detail="lag"))
    watched(progress(8, table=None, expected=None, rate=None))
    first = Report(rows=5, chunks=2, rows_by_table=Counter(a=5), chunks_by_table=Counter(a=1, b=1))
    watched(first)
    watched(
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

    status = watched.status()

    assert json.loads(json.dumps(status, allow_nan=False)) == status
    assert datetime.fromisoformat(status["last_ended_at"]) == watched.last_ended_at
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


def test_monitor_status_has_every_counter() -> None:
    names = [field.name for field in attrs.fields(Report) if field.type in {"int", int}]
    watched = Monitor()
    watched(Report(**dict.fromkeys(names, 3)))

    status = watched.status()

    assert len(names) > 5
    counters = {**status["last_run_counters"], "jobs_unfinished": status["jobs_unfinished"]}
    assert {name: counters.get(name) for name in names} == dict.fromkeys(names, 3)


class _AddedMeanwhile(Report):
    """A report during whose addition another worker reports."""

    def __add__(self, later: Report) -> Report:
        if not self.turns.others:
            self.turns.meanwhile(lambda: self.watch(Report(rows=100)))
        return super().__add__(later)

    def __deepcopy__(self, memo: dict[int, Any]) -> _AddedMeanwhile:
        return self


def test_monitor_counts_reports_of_two_threads() -> None:
    watched, first = Monitor(), _AddedMeanwhile(rows=1)
    first.watch, first.turns = watched, WatchedLock()
    watched._lock = first.turns
    watched(first)

    watched(Report(rows=10))
    first.turns.join()

    assert watched.lifetime is not None
    assert watched.lifetime.rows == 111


class _Read(deque[Progress]):
    """Events that get one more while they are read."""

    def __iter__(self) -> Iterator[Progress]:
        for event in super().__iter__():
            if not self.turns.others:
                self.turns.meanwhile(lambda: self.watch(progress(2)))
            yield event


def test_monitor_event_during_a_read_is_in_the_next_read() -> None:
    watched, events = Monitor(), _Read()
    events.watch, events.turns = watched, WatchedLock()
    watched._lock, watched._recent = events.turns, events
    watched(progress(1))

    first = watched.recent
    events.turns.join()

    assert first == (progress(1),)
    assert watched.recent == (progress(1), progress(2))


def test_monitor_may_be_shared_by_many_workers_and_readers() -> None:
    watched = Monitor(max_events=50)

    def notify(first: int) -> None:
        for n in range(300):
            watched(progress(first + n % 40))
            watched(Report(rows=1, rows_by_table=Counter(rule=1)))

    threads = [threading.Thread(target=notify, args=[1000 * n]) for n in range(4)]
    for thread in threads:
        thread.start()
    try:
        while any(thread.is_alive() for thread in threads):
            assert len(watched.recent) <= 50
            counters = watched.status()["lifetime_counters"]
            assert counters is None or counters["tables"]["rule"]["rows"] == counters["rows"]
    finally:
        for thread in threads:
            thread.join()

    assert watched.lifetime is not None
    assert (watched.lifetime.rows, len(watched.recent), len(watched.jobs)) == (1200, 50, 50)


class _Asked(dict[UUID, Progress]):
    """Jobs that are asked about by a signal's handler just while one of them is written."""

    def __setitem__(self, job: UUID, progress: Progress) -> None:
        super().__setitem__(job, progress)
        signal.raise_signal(signal.SIGUSR1)

    def move_to_end(self, job: UUID) -> None:
        self.update({job: self.pop(job)})


def test_monitor_may_be_read_by_a_signal_handler_during_an_event() -> None:
    watched, seen = Monitor(), list[int]()
    watched._jobs = _Asked()

    def handle(_signal: int, _frame: FrameType | None) -> None:
        seen.append(len(watched.status()["jobs"]))

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        watched(progress(1))
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert seen == [1]
