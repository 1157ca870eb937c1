# SPDX-License-Identifier: MIT
"""Keep the deadline of a run, and send it to the server as a limit.

The clock is the client's own and monotonic, so a change of the time of day does not move a
deadline. The same flight limits the server. Otherwise it would continue, and hold its locks, for a
client that waits no longer.
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
"""Seconds that an answer may still take after the deadline has passed, or after an interrupt. The
cancel request takes at most half of them."""

_TICK = 0.1
"""Seconds after which a wait for the socket checks the clock, as in psycopg's waits."""

_SKEW = 0.05
"""Seconds by which the server's clock may be ahead of the client's. The server ends the transaction
by its own clock."""

_MAX_MILLISECONDS = 2**31 - 1
"""The highest value of the settings: 24 days."""


@frozen(eq=False)
class Deadline:
    """A point in time of the monotonic clock."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return the deadline that is so many seconds from now."""
        return cls(monotonic() + seconds)

    @property
    def left(self) -> float:
        """The seconds until the deadline; 0 after it."""
        return max(0.0, self.at - monotonic())

    @property
    def passed(self) -> bool:
        """Whether the deadline is in the past, by the client's clock."""
        return self.at <= monotonic()

    @property
    def tick(self) -> float:
        """The seconds to wait for the socket before the clock is checked again."""
        left = self.left
        # Equal parts, so that the last check is soon after the deadline. The millisecond puts that
        # check after it, and not just before.
        return left / max(ceil(left / _TICK), 1) + 0.001

    @property
    def due(self) -> bool:
        """Whether the deadline has passed by the client's clock, or may have by the server's."""
        return self.left <= _SKEW


def deadline_from(seconds: object) -> Deadline:
    """Return the deadline of a run that begins now.

    :raises InvalidBatch: if ``seconds`` is not a number or a timedelta of more than 0.
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
        f"run(deadline={seconds!r}): not the seconds of a run; pass a number or a timedelta, more "
        "than 0 and finite, or leave it out to wait without a limit"
    )
    raise InvalidBatch(message)


def bounded(
    frame: Frame, deadline: Deadline, dialect: Dialect, version: int, *, queries: bool
) -> Frame:
    """Return the frame with the settings that limit the server to the time that is left.

    A shorter limit of the session stays in force if a query may set the new one, for only a query
    can compare the two. But a query fixes the snapshot and the isolation level of its transaction,
    so it is sent only before a batch that begins with a query. The texts differ from run to run, so
    they are never prepared.

    :param version: the server's, as in ``PGconn.server_version``.
    :param queries: whether the batch begins with a query itself.
    """
    limits = _limits(deadline, dialect, version, timeout=frame.timeout, queries=queries)
    return evolve(frame, settings=(*frame.settings, *limits))


def _limits(
    deadline: Deadline, dialect: Dialect, version: int, *, timeout: float | None, queries: bool
) -> tuple[str, ...]:
    milliseconds = min(max(ceil(deadline.left * 1000), 1), _MAX_MILLISECONDS)
    if queries:
        return (dialect.limit_query(milliseconds, version),)
    name = dialect.limit_setting(version)
    if name == "transaction_timeout":
        return f"SET LOCAL {name} = 0", f"SET LOCAL {name} = {milliseconds}"
    if timeout is not None:
        milliseconds = min(milliseconds, round(timeout * 1000))
    return (f"SET LOCAL {name} = {milliseconds}",)
