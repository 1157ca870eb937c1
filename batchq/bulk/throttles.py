# SPDX-License-Identifier: MIT
"""Two reasons to wait that a database can tell. Any other is a callable of your own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, LiteralString

from batchq.engine.client_encoding import textual
from batchq.language.builders import sql
from batchq.running.run import run

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg_pool import ConnectionPool

_LAG = """\
SELECT format('%%s is %%s behind', application_name, replay_lag) FROM pg_stat_replication
WHERE replay_lag > %(most)s ORDER BY replay_lag DESC"""


def asking(
    database: Connection[Any] | ConnectionPool[Any], query: LiteralString, **params: object
) -> Callable[[], str | None]:
    """Make a throttle of a query, whose first row is the reason; no row is none.

    :param database: may be the one that is resumed: no transaction is open on it when it asks.
    :param query: as of :func:`~batchq.sql`; one column, of text.

    >>> pool = None  # a ConnectionPool
    >>> throttle = asking(pool, "SELECT 'paused by ' || who FROM pause")
    """
    looking = sql(query, **params).all(_reason)

    def throttle() -> str | None:
        return next(iter(run(database, looking, read_only=True)), None)

    return throttle


def replica_lag(
    primary: Connection[Any] | ConnectionPool[Any], most: timedelta
) -> Callable[[], str | None]:
    """Make a throttle of the lag of a primary's replicas.

    :param primary: as ``database`` of :func:`asking`. Its role has to see others' replication:
        ``pg_monitor`` does (PostgreSQL documentation, "pg_stat_replication").
    :param most: how far a replica may be behind in what it has replayed.
    """
    return asking(primary, _LAG, most=most)


def _reason(row: dict[str, Any]) -> str:
    (reason,) = row.values()
    return str(textual(reason))
