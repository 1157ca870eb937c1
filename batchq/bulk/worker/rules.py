# SPDX-License-Identifier: MIT
"""A rule (``CREATE RULE``) of a table that is swept: the server takes most of them in no chunk."""

from __future__ import annotations

import psycopg

from batchq.language.errors import BatchError

RULED = (
    "{}: a rule (CREATE RULE) rewrites what a chunk does, and the server takes no such rule in a "
    "WITH; ALTER TABLE … DISABLE RULE, or make it a trigger"
)

_REFUSED_BY = "RewriteQuery"
_UNSUPPORTED = "0A000"
"""The server's own function, which is the same in every language of its messages, and says with
this SQLSTATE nothing but this (PostgreSQL sources, rewriteHandler.c)."""


def is_ruled(report: BatchError) -> bool:
    """Whether a step was refused because of a rule."""
    cause = report.__cause__
    return (
        isinstance(cause, psycopg.Error)
        and cause.sqlstate == _UNSUPPORTED
        and cause.diag.source_function == _REFUSED_BY
    )
