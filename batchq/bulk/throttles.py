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
WHERE replay_lag > %(max_lag)s ORDER BY replay_lag DESC"""


def query_throttle(
    database: Connection[Any] | ConnectionPool[Any], query: LiteralString, **params: object
) -> Callable[[], str | None]:
    """Make a throttle of a query, whose first row is the reason; no row is none.

    :param database: may be the one that is resumed: no transaction is open on it when it asks.
    :param query: as of :func:`~batchq.sql`; one column, of text.

    >>> pool = None  # a ConnectionPool
    >>> throttle = query_throttle(pool, "SELECT 'paused by ' || who FROM pause")
    """
    looking = sql(query, **params).all(_reason)

    def throttle() -> str | None:
        return next(iter(run(database, looking, read_only=True)), None)

    return throttle


def replica_lag_throttle(
    primary: Connection[Any] | ConnectionPool[Any], max_lag: timedelta
) -> Callable[[], str | None]:
    """Make a throttle of the lag of a primary's replicas.

    :param primary: as ``database`` of :func:`query_throttle`. Its role must see the replication of
        other sessions, as ``pg_monitor`` does (PostgreSQL documentation, "pg_stat_replication").
    :param max_lag: how far a replica may be behind in what it has replayed.
    """
    return query_throttle(primary, _LAG, max_lag=max_lag)


def _reason(row: dict[str, Any]) -> str:
    (reason,) = row.values()
    return str(textual(reason))
