# SPDX-License-Identifier: MIT
"""Recognize a step that failed because row level security would have hidden rows from it."""

from __future__ import annotations

import psycopg

from batchq.language.errors import BatchError

ROW_SECURITY = (
    "{}: row level security hides rows from this role, so it cannot be known that none is left; "
    "resume as a role with BYPASSRLS, or as the table's owner if it is not FORCEd, after "
    "Jobs.retry()"
)

_SERVER_FUNCTION = "check_enable_rls"
"""The server function that raises it, which does not depend on the language of messages. Its
SQLSTATE, 42501, is also that of a missing privilege (PostgreSQL sources, rls.c)."""


def is_row_security(error: BatchError) -> bool:
    """Return whether a step failed because a policy would have hidden rows from it."""
    cause = error.__cause__
    return isinstance(cause, psycopg.Error) and cause.diag.source_function == _SERVER_FUNCTION
