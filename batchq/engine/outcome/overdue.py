# SPDX-License-Identifier: MIT
"""The reports of a run that its deadline has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import OperationalError

from batchq.engine.outcome.messages import WHAT_BECAME
from batchq.engine.outcome.report import Report
from batchq.language.errors import BatchError, DeadlineExceeded, OutcomeUnknown
from batchq.language.outcome import Outcome

if TYPE_CHECKING:
    from batchq.engine.outcome.attribute import Verdict
    from batchq.engine.wire.deadline import Deadline

_STOPPED = frozenset({"57014", "25P04"})
"""What the server says of a cancel request and of ``statement_timeout``, and of
``transaction_timeout``."""


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
        own = outcome.nothing_applied and (stopped or unsettled)
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
