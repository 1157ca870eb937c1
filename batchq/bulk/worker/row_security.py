# SPDX-License-Identifier: MIT
"""Row level security, where a look has to see everything: the server refuses it, and says why."""

from __future__ import annotations

import psycopg

from batchq.language.errors import BatchError

BLINDED = (
    "{}: row level security hides rows from this role, so nobody can say that none is left; "
    "resume as a role with BYPASSRLS, or as the table's owner where it is not FORCEd, after "
    "Jobs.retry()"
)

_REFUSED_BY = "check_enable_rls"
"""The server's own function, which is the same in every language of its messages. A privilege that
is missing has the same SQLSTATE, 42501 (PostgreSQL sources, rls.c)."""


def is_blinded(report: BatchError) -> bool:
    """Whether a step was refused because a policy would hide rows from it."""
    cause = report.__cause__
    return isinstance(cause, psycopg.Error) and cause.diag.source_function == _REFUSED_BY
