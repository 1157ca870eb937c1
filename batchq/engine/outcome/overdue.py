# SPDX-License-Identifier: MIT
"""Report a run that its deadline ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import OperationalError

from batchq.engine.outcome.messages import OUTCOME_TEXTS
from batchq.engine.result import Failed
from batchq.language.errors import BatchError, DeadlineExceeded, OutcomeUnknown
from batchq.language.outcome import Outcome

if TYPE_CHECKING:
    from batchq.engine.outcome.attribute import Verdict
    from batchq.engine.wire.deadline import Deadline

_CANCELED = frozenset({"57014", "25P04"})
"""SQLSTATE after a cancel request or ``statement_timeout``, and after ``transaction_timeout``."""


def overdue(
    verdict: Verdict,
    deadline: Deadline,
    *,
    given_up: bool,
    unsettled: bool,
    cause: BaseException | None,
) -> Failed | None:
    """Report a batch that was sent and that its deadline ended.

    No step has failed if the deadline caused the error. Any other answer counts, however late.

    :param given_up: whether the client stopped waiting for the answer.
    :param unsettled: whether the batch would have been sent again, with more time.
    :return: None if the deadline did not end it.
    """
    violation, outcome = verdict.violation, verdict.outcome
    if violation is None:
        by_deadline = given_up and not verdict.refused
    else:
        canceled = violation.sqlstate in _CANCELED and deadline.due
        by_deadline = outcome.nothing_applied and (canceled or unsettled)
    if not by_deadline:
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
    return Failed(error, error)


def not_sent(activity: str) -> DeadlineExceeded:
    """Report a batch whose deadline passed before any of it was sent."""
    message = f"the deadline passed while {activity}; nothing was sent"
    return DeadlineExceeded(message, outcome=Outcome.NOT_SENT)


def no_more(before: BatchError) -> DeadlineExceeded:
    """Report that the deadline leaves no time for another attempt.

    :param before: the report of the last attempt, whose outcome is known.
    """
    message = f"the deadline leaves no time for another attempt; {OUTCOME_TEXTS[before.outcome]}"
    error = DeadlineExceeded(message, outcome=before.outcome)
    error.attempts = before.attempts
    error.__cause__ = before
    return error


def no_answer() -> OperationalError:
    """Return the error for a connection on which no answer came in time."""
    return OperationalError("no answer came in time, and the connection was closed")
