# SPDX-License-Identifier: MIT
"""Classify the failure of a step: retry it, mark the job as stuck, or stop the worker."""

from __future__ import annotations

from batchq.bulk.errors import InvalidOrderKey, ParentKept
from batchq.bulk.worker.row_security import ROW_SECURITY, is_row_security
from batchq.bulk.worker.rules import RULE, is_rule
from batchq.engine.result import Failed
from batchq.language.errors import ReadOnlyServer, SerializationConflict
from batchq.language.outcome import Outcome
from batchq.language.violation import Violation, ViolationKind

TIMEOUTS = frozenset({"57014", "55P03"})
"""The SQLSTATEs of statement_timeout and lock_timeout (PostgreSQL documentation, appendix A)."""
_SESSION_ENDED = "57P"
"""The SQLSTATEs of a session that the server ends (as above). With a pool the next attempt may use
another connection, as it does if a connection was closed before anything was sent."""
INTEGRITY = "23"
"""The class of SQLSTATEs of constraints (as above)."""


def sqlstate_of(failed: Failed) -> str:
    """Return the server's SQLSTATE; empty if there is none."""
    violation = failed.report.violation
    return "" if violation is None else violation.sqlstate


def is_conflict(failed: Failed) -> bool:
    """Return whether the step may succeed when it is tried again.

    That is the case after a conflict with other transactions, and if the session has ended or its
    server is read-only: a pool may have another connection.
    """
    error = failed.report
    ended = sqlstate_of(failed).startswith(_SESSION_ENDED) or error.outcome is Outcome.NOT_SENT
    return isinstance(error, SerializationConflict | ReadOnlyServer) or ended


def needs_attention(failed: Failed, remedy: str) -> str | None:
    """Describe a failure that a person has to resolve; None if it is another.

    :param remedy: how to restart the job.
    """
    match failed.error:
        case ParentKept():
            return (
                f"{failed.error}: the parent's row is kept: a trigger or a rule does that, or it "
                f"was moved at this very moment"
            )
        case InvalidOrderKey():
            return f"{failed.error}; {remedy}"
        case _:
            error = failed.report
            if is_rule(error):
                return f"{RULE.format(error.path)}; {remedy}"
            return ROW_SECURITY.format(error.path) if is_row_security(error) else None


def describe_violation(violation: Violation) -> str:
    """Describe which constraint has rejected a step."""
    name = violation.constraint
    if name is None and violation.kind is not ViolationKind.OTHER:
        name = violation.kind.name.replace("_", " ")
    where = ".".join(filter(None, (violation.table, violation.column)))
    on = f" on {where}" if where else ""
    return f"constraint {name or 'without a name'}{on} rejects it (SQLSTATE {violation.sqlstate})"


def first_line(error: Exception) -> str:
    """Return the first line of an error.

    The lines after it are for the author of a statement, and these statements are the library's
    own; and the server quotes rows in them.
    """
    return str(error).partition("\n")[0] or type(error).__name__
