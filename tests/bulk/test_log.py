# SPDX-License-Identifier: MIT
"""The records that Log writes: their levels, and that they hold no values."""

from __future__ import annotations

import logging
from datetime import timedelta
from uuid import UUID

import pytest

from batchq.bulk import Progress, Report, StopReason
from batchq.bulk.progress.events import Event
from batchq.bulk.progress.log import Log
from tests.support.progress_events import progress

JOB = UUID(int=7)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    caplog.set_level(logging.DEBUG, logger="batchq.bulk")
    return Log()


LOUD = {
    Event.DONE: logging.INFO,
    Event.LEASE_LOST: logging.INFO,
    Event.RESTARTED: logging.WARNING,
    Event.STUCK: logging.WARNING,
}


@pytest.mark.parametrize("event", Event)
def test_log_writes_one_record_an_event_at_its_level(
    log: Log, caplog: pytest.LogCaptureFixture, event: Event
) -> None:
    log(progress(event=event, detail="for this reason"))

    (record,) = caplog.records
    assert record.name == "batchq.bulk"
    assert record.levelno == LOUD.get(event, logging.DEBUG)
    start = f"vpc '7' (job {JOB}) {event.name}"
    assert record.getMessage().startswith(start)
    assert record.getMessage().endswith("40 rows in all (for this reason)")


def test_log_of_a_chunk_shows_its_rows_and_time(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    log(progress(event=Event.CHUNK, rows=10, elapsed=0.0123))
    assert "CHUNK, 10 of rule in 0.012 s: 40 rows" in caplog.messages[0]


@pytest.mark.parametrize("reason", StopReason)
def test_log_of_a_worker_shows_its_totals_and_warns_of_a_failure(
    log: Log, caplog: pytest.LogCaptureFixture, reason: StopReason
) -> None:
    jobs = {"jobs_done": 2, "jobs_stuck": 3, "jobs_released": 4, "jobs_skipped": 5}
    totals = {"rows": 700, "chunks": 8, "retries": 1, "jobs_unfinished": 6, **jobs}
    age = timedelta(minutes=2)
    log(Report(stop_reason=reason, detail="lag", oldest_job_age=age, **totals))
    (record,) = caplog.records
    failed = reason is StopReason.FAILED
    assert record.levelno == (logging.WARNING if failed else logging.INFO)
    message = record.getMessage()
    assert f"{reason.name} (lag): " in message
    for name, number in totals.items():
        assert f"{number} {name.removeprefix('jobs_')}" in message
    assert "0:02:00" in message


@pytest.mark.parametrize(
    "given",
    [
        progress(event=Event.RETRIED, detail="canceled\nDETAIL: Key (email)=(a@b.c) exists"),
        progress(event=Event.CHUNK, root="7\nERROR forged"),
        Report(stop_reason=StopReason.FAILED, detail="refused\nDETAIL: Key (email)=(a@b.c) exists"),
    ],
)
def test_log_record_is_one_line_without_values(
    log: Log, caplog: pytest.LogCaptureFixture, given: Progress | Report
) -> None:
    log(given)

    (message,) = caplog.messages
    assert "\n" not in message
    assert "a@b.c" not in message


def test_log_escapes_percent_signs(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    log(progress(event=Event.STUCK, task="%s", root="%d", detail="100% full"))

    (message,) = caplog.messages
    assert message.startswith("%s '%d' (job")
    assert message.endswith("(100% full)")


def test_log_writes_to_the_given_logger(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="mine")

    Log(logging.getLogger("mine"))(Report())

    assert [record.name for record in caplog.records] == ["mine"]
