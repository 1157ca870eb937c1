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

from attrs import frozen
from psycopg import OperationalError

from batchq.engine.outcome.messages import WHAT_BECAME
from batchq.engine.outcome.report import Report
from batchq.language.errors import BatchError, DeadlineExceeded, InvalidBatch, OutcomeUnknown
from batchq.language.outcome import Outcome

if TYPE_CHECKING:
    from batchq.engine.dialects import Dialect
    from batchq.engine.outcome.attribute import Verdict

GRACE = 1.0
"""Seconds that an answer may still take once the deadline has passed, or the run was interrupted.
At most half of them go to the cancel request."""

_TICK = 0.1
"""Seconds after which a wait for the socket looks at the clock, as often as psycopg's waits do."""

_SKEW = 0.05
"""Seconds by which the server's clock, which ends the transaction when the deadline passes, may be
ahead of the client's."""

_STOPPED = frozenset({"57014", "25P04"})
"""What the server says of a cancel request and of ``statement_timeout``, and of
``transaction_timeout``."""

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


def bound(
    deadline: Deadline, dialect: Dialect, version: int, *, timeout: float | None, queries: bool
) -> tuple[str, ...]:
    """Write what bounds the server by the time that is left, until the transaction ends.

    Where the session has a limit of its own that is shorter, that one stays in force. Only a query
    can find out, and a query fixes the snapshot of a transaction, and its isolation level. The
    texts differ from run to run, so they are never prepared.

    :param version: the server's, as ``PGconn.server_version`` has it.
    :param timeout: the seconds that a statement may take, where the caller has said so.
    :param queries: whether the batch begins with a query itself.
    """
    milliseconds = min(max(ceil(deadline.left * 1000), 1), _SETTABLE)
    if queries:
        return (dialect.bound(milliseconds, version),)
    name = dialect.limit(version)
    if name == "transaction_timeout":
        return f"SET LOCAL {name} = 0", f"SET LOCAL {name} = {milliseconds}"
    if timeout is not None:
        milliseconds = min(milliseconds, round(timeout * 1000))
    return (f"SET LOCAL {name} = {milliseconds}",)


def overdue(
    verdict: Verdict,
    deadline: Deadline,
    *,
    given_up: bool,
    unsettled: bool,
    cause: BaseException | None,
) -> Report | None:
    """Report a batch that was sent and that its deadline has ended; None when something else has.

    Nobody is to blame for an error that is the deadline's own doing. Any other answer stays the
    answer, however late it came.

    :param given_up: whether the client stopped waiting for the answer.
    :param unsettled: whether it would have been sent once more, had there been time.
    """
    violation, outcome = verdict.violation, verdict.outcome
    if violation is None:
        own = given_up and not verdict.refused
    else:
        stopped = violation.sqlstate in _STOPPED and deadline.due
        own = outcome.kept_nothing and (stopped or unsettled)
    if not own:
        return None
    error: BatchError
    if outcome is Outcome.UNKNOWN:
        message = (
            "the deadline passed before COMMIT was answered; whether it was committed is unknown: "
            "read before running it again"
        )
        error = OutcomeUnknown(message, outcome=outcome)
    else:
        message = "the deadline passed; rolled back, nothing was kept"
        error = DeadlineExceeded(message, outcome=outcome, violation=violation)
    error.__cause__ = cause
    return Report(error, error)


def not_sent(while_: str) -> DeadlineExceeded:
    """Report a batch whose deadline passed before a byte of it was sent."""
    message = f"the deadline passed while {while_}; nothing was sent"
    return DeadlineExceeded(message, outcome=Outcome.NOT_SENT)


def no_more(before: BatchError) -> DeadlineExceeded:
    """Report that there is no time for another attempt.

    :param before: the report of the last one, of which the outcome is known.
    """
    message = f"the deadline leaves no time for another attempt; {WHAT_BECAME[before.outcome]}"
    error = DeadlineExceeded(message, outcome=before.outcome)
    error.attempts = before.attempts
    error.__cause__ = before
    return error


def silence() -> OperationalError:
    """Make the error for a link on which no answer came in time."""
    return OperationalError("no answer came in time, and the connection was closed")
