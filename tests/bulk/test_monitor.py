# SPDX-License-Identifier: MIT
"""What a Monitor keeps: copies, within bounds, readable by any thread."""

from __future__ import annotations

import json
import signal
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


def watched(*events: Progress | Report, max_events: int = 3) -> Monitor:
    monitor = Monitor(max_events=max_events)
    for event in events:
        monitor(event)
    return monitor


def test_monitor_keeps_the_latest_events_and_jobs() -> None:
    """The event of a job that is looked at seldom outlives any number of another's."""
    events = [progress(1, event=Event.STUCK), *(progress(2, rows_done=n) for n in range(50))]
    monitor = watched(*events)
    assert monitor.recent == tuple(events[-3:])
    assert monitor.jobs == {UUID(int=1): events[0], UUID(int=2): events[-1]}
    monitor = watched(*map(progress, (1, 2, 3, 1, 4)))
    assert list(monitor.jobs) == [UUID(int=job) for job in (3, 1, 4)]


def test_monitor_of_no_events_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"Monitor\(max_events=0\)"):
        Monitor(max_events=0)


def test_monitor_limit_is_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenAttributeError):
        Monitor().max_events = 1


REPORTS = [
    Report(
        chunks=2,
        rows=20,
        rows_by_table=Counter(rule=15, route=5),
        chunks_by_table=Counter(rule=1, route=1),
    ),
    Report(
        stop_reason=StopReason.THROTTLED,
        detail="lag",
        rows=7,
        rows_by_table=Counter(rule=7),
        throttled=Counter(lag=1),
        jobs_unfinished=3,
        oldest_job_age=timedelta(minutes=2),
    ),
]


def test_monitor_adds_reports_and_keeps_the_last() -> None:
    before = datetime.now(UTC)
    monitor = watched(*REPORTS)
    assert monitor.last_report == REPORTS[1]
    assert monitor.lifetime == REPORTS[0] + REPORTS[1]
    assert monitor.lifetime.rows_by_table == {"rule": 22, "route": 5}
    assert monitor.last_ended_at is not None
    assert before <= monitor.last_ended_at <= datetime.now(UTC)


def test_monitor_takes_and_returns_copies() -> None:
    report = Report(rows=5, rows_by_table=Counter(rule=5))
    monitor = watched(report, progress(1))
    for other in (report, monitor.last_report, monitor.lifetime):
        assert other is not None
        other.rows += 100
        other.rows_by_table["rule"] += 100
    monitor.jobs.clear()
    kept = Report(rows=5, rows_by_table=Counter(rule=5))
    assert monitor.last_report == monitor.lifetime == kept
    assert len(monitor.jobs) == 1


def test_monitor_status_survives_json() -> None:
    monitor = watched(
        progress(7, event=Event.THROTTLED, detail="lag"),
        progress(8, table=None, expected=None, rate=None),
        *REPORTS,
    )
    status = monitor.status()
    assert json.loads(json.dumps(status, allow_nan=False)) == status
    assert datetime.fromisoformat(status["last_ended_at"]) == monitor.last_ended_at
    assert (status["stop_reason"], status["detail"]) == ("THROTTLED", "lag")
    assert (status["jobs_unfinished"], status["oldest_job_age_seconds"]) == (3, 120.0)
    assert status["last_run_counters"]["tables"] == {"rule": {"rows": 7, "chunks": 0}}
    assert status["last_run_counters"]["throttled"] == {"lag": 1}
    lifetime = status["lifetime_counters"]
    assert (lifetime["rows"], lifetime["chunks"]) == (27, 2)
    assert lifetime["tables"]["rule"] == {"rows": 22, "chunks": 1}
    first, second = status["jobs"]
    assert first == {
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
    }
    unknown = ("table", "expected", "remaining_seconds", "rate")
    assert [second[name] for name in unknown] == [None] * 4


def test_monitor_status_is_json_before_the_first_event() -> None:
    status = Monitor().status()

    assert json.loads(json.dumps(status, allow_nan=False)) == status
    assert status.pop("jobs") == []
    assert set(status.values()) == {None}


def test_monitor_status_has_every_counter() -> None:
    names = [field.name for field in attrs.fields(Report) if field.type in {"int", int}]
    watched = Monitor()
    watched(Report(**dict.fromkeys(names, 3)))

    status = watched.status()

    assert len(names) > 5
    states = {name: status[name] for name in ("jobs_unfinished", "all_jobs_stuck")}
    counters = {**status["last_run_counters"], **states}
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
    watched._kept.lock = first.turns
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
    watched._kept.lock, watched._kept._recent = events.turns, events
    watched(progress(1))

    first = watched.recent
    events.turns.join()

    assert first == (progress(1),)
    assert watched.recent == (progress(1), progress(2))


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
