# SPDX-License-Identifier: MIT
"""Recognize a chunk that failed because its table has a rule (``CREATE RULE``)."""

from __future__ import annotations

import psycopg

from batchq.language.errors import BatchError

RULE = (
    "{}: a rule (CREATE RULE) rewrites what a chunk does, and the server allows no such rule in a "
    "WITH; ALTER TABLE … DISABLE RULE, or make it a trigger"
)

_SERVER_FUNCTION = "RewriteQuery"
_UNSUPPORTED = "0A000"
"""The server function that raises it, which does not depend on the language of messages; it raises
nothing else with this SQLSTATE (PostgreSQL sources, rewriteHandler.c)."""


def is_rule(error: BatchError) -> bool:
    """Return whether a chunk failed because of a rule."""
    cause = error.__cause__
    return (
        isinstance(cause, psycopg.Error)
        and cause.sqlstate == _UNSUPPORTED
        and cause.diag.source_function == _SERVER_FUNCTION
    )
