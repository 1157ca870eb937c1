# SPDX-License-Identifier: MIT
"""The deadline of a run: until when the client waits, and what the server is told of it.

The clock is the client's own and monotonic, so no change of the time of day moves a deadline. The
server is bounded as well, in the same flight: it would work on otherwise, and hold its locks, for
a client that has gone.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from math import ceil, inf
from numbers import Real
from time import monotonic
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from batchq.language.errors import InvalidBatch

if TYPE_CHECKING:
    from batchq.engine.dialects import Dialect
    from batchq.engine.wire.frame import Frame

GRACE = 1.0
"""Seconds that an answer may still take once the deadline has passed, or the run was interrupted.
At most half of them go to the cancel request."""

_TICK = 0.1
"""Seconds after which a wait for the socket looks at the clock, as often as psycopg's waits do."""

_SKEW = 0.05
"""Seconds by which the server's clock, which ends the transaction when the deadline passes, may be
ahead of the client's."""

_SETTABLE = 2**31 - 1
"""The most milliseconds that the settings take: 24 days."""


@frozen(eq=False)
class Deadline:
    """A point in time, of the monotonic clock."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Make one that lies so many seconds ahead."""
        return cls(monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds until then, and never fewer than 0."""
        return max(0.0, self.at - monotonic())

    @property
    def passed(self) -> bool:
        """Whether it is in the past."""
        return self.at <= monotonic()

    @property
    def tick(self) -> float:
        """How long to wait for the socket before the clock is looked at again, in seconds."""
        left = self.left
        # Evenly, so that the last look is not long after it, and a bit late, so not just before.
        return left / max(ceil(left / _TICK), 1) + 0.001

    @property
    def due(self) -> bool:
        """Whether it has passed, by the client's clock or by that of the server."""
        return self.left <= _SKEW


def deadline_from(seconds: object) -> Deadline:
    """Make the deadline of a run that begins now.

    :raises InvalidBatch: when it is not so many seconds, as a number or a timedelta.
    """
    given = inf
    if isinstance(seconds, timedelta):
        given = seconds.total_seconds()
    elif isinstance(seconds, int | float | Real) and not isinstance(seconds, bool):
        with suppress(OverflowError):
            given = float(seconds)
    if 0 < given < inf:
        return Deadline.after(given)
    message = (
        f"deadline={seconds!r}: the seconds that the whole run may take, as a number or a "
        "timedelta, more than 0 and finite; leave it out to wait for as long as it takes"
    )
    raise InvalidBatch(message)


def bounded(
    frame: Frame, deadline: Deadline, dialect: Dialect, version: int, *, queries: bool
) -> Frame:
    """Return the frame, with the settings that bound the server by the time that is left.

    If the session has a shorter limit of its own, that one stays in force. Only a query can find
    out, and a query fixes the snapshot of a transaction, and its isolation level. The texts differ
    from run to run, so they are never prepared.

    :param version: the server's, as ``PGconn.server_version`` has it.
    :param queries: whether the batch begins with a query itself.
    """
    limits = _limits(deadline, dialect, version, timeout=frame.timeout, queries=queries)
    return evolve(frame, settings=(*frame.settings, *limits))


def _limits(
    deadline: Deadline, dialect: Dialect, version: int, *, timeout: float | None, queries: bool
) -> tuple[str, ...]:
    milliseconds = min(max(ceil(deadline.left * 1000), 1), _SETTABLE)
    if queries:
        return (dialect.limit_query(milliseconds, version),)
    name = dialect.limit_setting(version)
    if name == "transaction_timeout":
        return f"SET LOCAL {name} = 0", f"SET LOCAL {name} = {milliseconds}"
    if timeout is not None:
        milliseconds = min(milliseconds, round(timeout * 1000))
    return (f"SET LOCAL {name} = {milliseconds}",)
