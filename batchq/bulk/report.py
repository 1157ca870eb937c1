# SPDX-License-Identifier: MIT
"""How much one activation may do, and what it did."""

from __future__ import annotations

import math
from enum import Enum

from attrs import define, frozen


@frozen(kw_only=True)
class Budget:
    """What one activation may do; what is left over is deferred to the next."""

    chunks: float = math.inf
    rows: float = math.inf
    """Not begun beyond it: the last chunk may end above."""
    seconds: float = 25.0


class Stopped(Enum):
    """Why an activation ended."""

    EXHAUSTED = "no job is left that nobody holds"
    CHUNKS = "its budget of chunks is used up"
    ROWS = "its budget of rows is used up"
    SECONDS = "its time is used up"
    ASKED = "it was asked to stop"
    THROTTLED = "a throttle holds it back"
    FAILED = "the server refused a step, or the connection was lost"


@define(kw_only=True)
class Report:
    """What an activation did."""

    stopped: Stopped = Stopped.EXHAUSTED
    why: str = ""
    """The throttle's reason, or the failure."""
    jobs_done: int = 0
    jobs_stuck: int = 0
    jobs_deferred: int = 0
    """Claimed, and left with children for the next activation."""
    jobs_refused: int = 0
    """Of a version that this library does not know; left as they are."""
    leases_lost: int = 0
    chunks: int = 0
    rows: int = 0
    """Deleted and committed by this activation; never one twice."""
    late_rows: int = 0
    """How often children were found at the end: come behind the fence, or changed by somebody while
    a chunk waited for them."""
