# SPDX-License-Identifier: MIT
"""Replace the clock of deadlines by one that a test controls: it stands still by default."""

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
    """A clock: call it for the time, in seconds."""

    now: float = 1000.0
    step: float = 0.0
    """Seconds that each call advances it."""

    def __call__(self) -> float:
        self.now += self.step
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


@contextmanager
def standing_clock() -> Iterator[Clock]:
    """Patch the clock of deadlines."""
    clock = Clock()
    with patch("batchq.engine.wire.deadline.monotonic", clock):
        yield clock


LONG = 3600
"""Seconds until a deadline that passes when the test says so."""


@contextmanager
def overtaken(*, server: float = LONG) -> Iterator[Clock]:
    """Let a deadline of LONG pass when the flight is ready."""
    with standing_clock() as clock:

        def bound_then_passed(frame: Frame, _: Deadline, *rest: Any, **how: Any) -> Frame:
            bound = bounded(frame, Deadline(clock.now + server), *rest, **how)
            clock.pass_by(LONG)
            return bound

        with patch("batchq.engine.transaction.bounded", bound_then_passed):
            yield clock
