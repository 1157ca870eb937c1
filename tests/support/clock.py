# SPDX-License-Identifier: MIT
"""The clock that deadlines are kept by, in the hands of a test: it stands still unless told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from attrs import define

from batchq.engine.wire.deadline import Deadline, bounded
from batchq.engine.wire.frame import Frame


@define
class Clock:
    """Called for the time, in seconds."""

    now: float = 1000.0
    step: float = 0.0
    """By how much each look moves it on."""

    def __call__(self) -> float:
        self.now += self.step
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


@contextmanager
def standing_clock() -> Iterator[Clock]:
    """Keep deadlines by a clock of the test's own."""
    clock = Clock()
    with patch("batchq.engine.wire.deadline.monotonic", clock):
        yield clock


LONG = 3600
"""Seconds until a deadline that passes when the test says so."""


@contextmanager
def overtaken(*, server: float = LONG) -> Iterator[Clock]:
    """A deadline of so LONG that passes when the flight is ready; what the server is told of it."""
    with standing_clock() as clock:

        def bound_then_passed(frame: Frame, _: Deadline, *rest: Any, **how: Any) -> Frame:
            bound = bounded(frame, Deadline(clock.now + server), *rest, **how)
            clock.pass_by(LONG)
            return bound

        with patch("batchq.engine.transaction.bounded", bound_then_passed):
            yield clock
