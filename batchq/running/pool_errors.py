# SPDX-License-Identifier: MIT
"""Recognize and report the errors of a pool.

psycopg_pool is an extra, so its classes are recognized by name.
"""

from __future__ import annotations

from batchq.language.errors import ConnectionFailed, DeadlineExceeded
from batchq.language.outcome import Outcome

_POOL_ERRORS = frozenset({"PoolClosed", "PoolTimeout", "TooManyRequests"})


def is_pool_error(error: BaseException | None) -> bool:
    """Return True for an error of psycopg_pool itself, not of a connection that it opened.

    The pool is closed, has waited until its own timeout, or has too many requests.
    """
    return any(cls.__name__ in _POOL_ERRORS for cls in type(error).__mro__)


def no_connection(error: Exception) -> ConnectionFailed | DeadlineExceeded:
    """Report that a pool gave no connection."""
    if isinstance(error, DeadlineExceeded):
        return error
    # The text of a psycopg_pool error is about the pool. The text of another may quote anything.
    reason = f"{type(error).__name__}: {error}" if is_pool_error(error) else type(error).__name__
    message = f"the pool gave no connection ({reason}); nothing was sent"
    report = ConnectionFailed(message, outcome=Outcome.NOT_SENT)
    report.__cause__ = error
    return report
