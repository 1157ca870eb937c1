# SPDX-License-Identifier: MIT
"""What a step's failure says, as far as it decides what is done about it."""

from __future__ import annotations

from batchq.bulk.errors import InvalidOrderKey, ParentKept
from batchq.bulk.worker.row_security import BLINDED, is_blinded
from batchq.bulk.worker.rules import RULED, is_ruled
from batchq.language.errors import ReadOnlyServer, SerializationConflict
from batchq.language.outcome import Outcome
from batchq.language.violation import Violation
from batchq.running.result import Failed

TIMEOUTS = frozenset({"57014", "55P03"})
"""What statement_timeout and lock_timeout answer (PostgreSQL documentation, appendix A)."""
_ENDED = "57P"
"""What a session answers that the server ends (as above); with a pool the next one goes on, as it
does where a link was closed before anything was sent."""
INTEGRITY = "23"
"""The class of what a constraint answers (as above)."""


def sqlstate_of(failed: Failed) -> str:
    """The server's code; empty where it said nothing."""
    violation = failed.report.violation
    return "" if violation is None else violation.sqlstate


def is_conflict(failed: Failed) -> bool:
    """Whether others were in the way, or the session ended, or its server takes no writes: it may
    well succeed another time, with a pool over another connection."""
    report = failed.report
    ended = sqlstate_of(failed).startswith(_ENDED) or report.outcome is Outcome.NOT_SENT
    return isinstance(report, SerializationConflict | ReadOnlyServer) or ended


def for_people(failed: Failed, way_on: str) -> str | None:
    """Say what somebody has to look at, if it is that.

    :param way_on: how the job is begun again.
    """
    match failed.error:
        case ParentKept():
            return (
                f"{failed.error}: the server keeps the parent: a trigger or a rule does, or it "
                f"was moved in this very moment"
            )
        case InvalidOrderKey():
            return f"{failed.error}; {way_on}"
        case _:
            report = failed.report
            if is_ruled(report):
                return f"{RULED.format(report.path)}; {way_on}"
            return BLINDED.format(report.path) if is_blinded(report) else None


def refusal(violation: Violation) -> str:
    """Say what a constraint refuses."""
    what = f"constraint {violation.constraint}" if violation.constraint else str(violation.kind)
    where = ", ".join(filter(None, (violation.table, violation.column)))
    return f"{what} refuses it: {where} ({violation.sqlstate})"


def told(error: Exception) -> str:
    """Say a failure in one line. Below it a report teaches whoever wrote the statement, and here
    nobody did; and the server quotes rows."""
    return str(error).partition("\n")[0] or type(error).__name__
