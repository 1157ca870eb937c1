# SPDX-License-Identifier: MIT
"""What a Kept keeps; that any thread may read it is tested with the Monitor of bulk."""

from __future__ import annotations

import sys
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from batchq.progress import Kept
from tests.support.argument_types import assert_rejects_wrong_types


def test_kept_events_are_the_latest() -> None:
    kept = Kept[int, Counter[str]](max_events=3)
    assert kept.recent == ()

    for event in range(5):
        kept.add_event(event)

    assert kept.recent == (2, 3, 4)


def test_kept_reports_are_the_last_and_the_sum() -> None:
    """The sum is the earlier plus the later: a state at the end is that of the later one."""
    kept = Kept[str, tuple[str, ...]](max_events=1)
    assert (kept.last_report, kept.lifetime, kept.last_ended_at) == (None, None, None)
    before = datetime.now(UTC)

    for report in (("a",), ("b",), ("c",)):
        kept.add_report(report)

    assert kept.last_report == ("c",)
    assert kept.lifetime == ("a", "b", "c")
    assert kept.last_ended_at is not None
    assert before <= kept.last_ended_at <= datetime.now(UTC)


def test_kept_takes_and_returns_copies() -> None:
    kept, report = Kept[str, Counter[str]](max_events=1), Counter(put=1)
    kept.add_report(report)

    for other in (report, kept.last_report, kept.lifetime):
        assert other is not None
        other["put"] += 100

    assert kept.last_report == kept.lifetime == {"put": 1}


def test_report_that_cannot_be_added_is_not_kept() -> None:
    kept = Kept[str, Any](max_events=1)
    kept.add_report(Counter(put=1))
    ended_at = kept.last_ended_at

    with pytest.raises(TypeError):
        kept.add_report("put")

    assert kept.last_report == kept.lifetime == {"put": 1}
    assert kept.last_ended_at == ended_at


def test_kept_is_read_at_one_moment_under_its_lock() -> None:
    """The thread that holds the lock may use every method, also in a handler of a signal."""
    kept = Kept[str, Counter[str]](max_events=1)

    with kept.lock:
        kept.add_event("put")
        kept.add_report(Counter(put=1))
        assert (kept.recent, kept.last_report, kept.lifetime) == (("put",), {"put": 1}, {"put": 1})


def test_kept_of_no_events_or_of_too_many_is_rejected() -> None:
    for wrong in (0, sys.maxsize + 1):
        with pytest.raises(ValueError, match=rf"Kept\(max_events={wrong}\): it must be from 1 to"):
            Kept[str, int](max_events=wrong)


def test_kept_rejects_a_limit_of_another_type() -> None:
    assert_rejects_wrong_types(Kept, {"max_events": (128, (int,))})


def test_kept_limit_is_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenAttributeError):
        Kept[str, int](max_events=1).max_events = 2
