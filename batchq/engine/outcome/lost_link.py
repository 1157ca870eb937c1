# SPDX-License-Identifier: MIT
"""Report a transaction whose connection was lost, or whose end the server refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

from batchq.engine.outcome.messages import OUTCOME_TEXTS, where
from batchq.engine.outcome.resolve import FailedStep
from batchq.language.errors import BatchError, ConnectionFailed, OutcomeUnknown
from batchq.language.outcome import Outcome

if TYPE_CHECKING:
    from batchq.engine.outcome.attribute import Verdict


def link_failed(verdict: Verdict, cause: BaseException | None) -> BatchError:
    """Return the report, without a step: none is known to have failed.

    :param cause: the driver's exception.
    """
    outcome, violation = verdict.outcome, verdict.violation
    detail = f": {violation}" if violation else ""
    message = f"{_link_lost(verdict, cause)}{detail}; {OUTCOME_TEXTS[outcome]}"
    cls = OutcomeUnknown if outcome is Outcome.UNKNOWN else ConnectionFailed
    error = cls(message, outcome=outcome, violation=violation)
    error.__cause__ = cause
    return error


def _link_lost(verdict: Verdict, cause: BaseException | None) -> str:
    outcome, unknown = verdict.outcome, verdict.outcome is Outcome.UNKNOWN
    if verdict.relayed:
        return "a pooler, not the server, reported an error; it may have lost the server"
    if verdict.violation is not None:
        in_doubt = "the server could not say whether COMMIT took effect"
        return in_doubt if unknown else "the server ended the session"
    if verdict.refused:
        tag = "neither COMMIT nor ROLLBACK" if unknown else "ROLLBACK"
        return f"{where(verdict, FailedStep())} answered {tag} though nothing had failed"
    if cause is not None and not isinstance(cause, psycopg.Error):  # an event loop's, for example
        return f"waiting for the connection failed with {type(cause).__name__}"
    if outcome is Outcome.NOT_SENT:
        return "the connection was closed before anything was sent"
    return (
        "the connection was lost before COMMIT was answered"
        if unknown
        else "the connection was lost"
    )
