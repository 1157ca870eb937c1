# SPDX-License-Identifier: MIT
"""What is in the log of long deletes, how loud, and what never is."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from batchq.bulk import Progress, Report, StopReason
from batchq.bulk.progress.events import Event
from batchq.bulk.progress.log import Log

JOB = UUID(int=7)


def told(event: Event, **changes: Any) -> Progress:
    usual: dict[str, Any] = {
        "event": event,
        "job": JOB,
        "task": "vpc",
        "root": "7",
        "table": "rule",
        "rows_done": 40,
        "chunk_size": 10,
    }
    return Progress(**{**usual, **changes})


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
def test_an_event_is_one_record_that_names_the_job_and_is_as_loud_as_it_is_rare(
    log: Log, caplog: pytest.LogCaptureFixture, event: Event
) -> None:
    log(told(event, detail="for this reason"))

    (record,) = caplog.records
    assert record.name == "batchq.bulk"
    assert record.levelno == LOUD.get(event, logging.DEBUG)
    start = f"vpc '7' (job {JOB}) {event.name}"
    assert record.getMessage().startswith(start)
    assert record.getMessage().endswith("40 rows in all (for this reason)")


def test_a_chunk_says_what_it_did(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    log(told(Event.CHUNK, rows=10, elapsed=0.0123))

    assert caplog.messages == [f"vpc '7' (job {JOB}) CHUNK, 10 of rule in 0.012 s: 40 rows in all"]


def test_an_activation_is_one_record_with_its_totals(
    log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    log(
        Report(
            stop_reason=StopReason.THROTTLED,
            detail="lag",
            rows=700,
            chunks=8,
            retries=1,
            jobs_done=2,
            jobs_stuck=3,
            jobs_released=4,
            jobs_skipped=5,
            jobs_unfinished=6,
            oldest_job_age=timedelta(minutes=2),
        )
    )

    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.getMessage() == (
        "worker stopped, THROTTLED (lag): 700 rows in 8 chunks, 1 retries; jobs: 2 done, 3 stuck,"
        " 4 released, 5 skipped, 6 unfinished, the oldest is 0:02:00 old"
    )


def test_an_activation_that_failed_is_a_warning(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    log(Report(stop_reason=StopReason.FAILED, detail="server closed the connection"))

    (record,) = caplog.records
    assert record.levelno == logging.WARNING


@pytest.mark.parametrize(
    "given",
    [
        told(Event.RETRIED, detail="canceled\nDETAIL: Key (email)=(a@b.c) exists"),
        told(Event.CHUNK, root="7\nERROR forged"),
        Report(stop_reason=StopReason.FAILED, detail="refused\nDETAIL: Key (email)=(a@b.c) exists"),
    ],
)
def test_a_record_is_one_line_and_quotes_no_row(
    log: Log, caplog: pytest.LogCaptureFixture, given: Progress | Report
) -> None:
    log(given)

    (message,) = caplog.messages
    assert "\n" not in message
    assert "a@b.c" not in message


def test_signs_of_percent_are_text(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    log(told(Event.STUCK, task="%s", root="%d", detail="100% full"))

    (message,) = caplog.messages
    assert message.startswith("%s '%d' (job")
    assert message.endswith("(100% full)")


def test_it_writes_to_the_logger_that_it_is_given(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="mine")

    Log(logging.getLogger("mine"))(Report())

    assert [record.name for record in caplog.records] == ["mine"]
