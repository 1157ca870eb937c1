# SPDX-License-Identifier: MIT
"""What a pool raises. psycopg_pool is an extra, so its errors are known by their names."""

from __future__ import annotations

from batchq.language.errors import ConnectionFailed, DeadlineExceeded
from batchq.language.outcome import Outcome

_POOLS_OWN = frozenset({"PoolClosed", "PoolTimeout", "TooManyRequests"})


def is_pools_own(error: BaseException | None) -> bool:
    """Whether an error is one of psycopg_pool's own, and not a connection's that came through it.

    It is the pool's answer: it is closed, has waited for as long as it may, or has enough to do.
    """
    return any(cls.__name__ in _POOLS_OWN for cls in type(error).__mro__)


def no_connection(error: Exception) -> ConnectionFailed | DeadlineExceeded:
    """Report that a pool gave no connection."""
    if isinstance(error, DeadlineExceeded):
        return error
    # The texts of psycopg_pool's own errors are about the pool. Another's may quote anything.
    why = f"{type(error).__name__}: {error}" if is_pools_own(error) else type(error).__name__
    message = f"the pool gave no connection ({why}); nothing was sent"
    failed = ConnectionFailed(message, outcome=Outcome.NOT_SENT)
    failed.__cause__ = error
    return failed
