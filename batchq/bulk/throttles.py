# SPDX-License-Identifier: MIT
"""Throttles that query a database. Any other throttle is a callable of your own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, LiteralString

from batchq.bulk.known_values import check_known
from batchq.engine.client_encoding import textual
from batchq.language.argument_types import checked
from batchq.language.builders import sql
from batchq.running.run import run
from batchq.running.target import check_target

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg_pool import ConnectionPool

_LAG = """\
SELECT format('%%s lags by %%s', application_name, replay_lag) FROM pg_stat_replication
WHERE replay_lag > %(max_lag)s ORDER BY replay_lag DESC"""


def query_throttle(
    database: Connection[Any] | ConnectionPool[Any], query: LiteralString, **params: object
) -> Callable[[], str | None]:
    """Make a throttle from a query: its first row is the reason to stop; no row means none.

    :param database: may be the one that is resumed: no transaction is open on it at that time.
    :param query: as for :func:`~batchq.sql`; it returns one column of text.

    >>> from psycopg_pool import ConnectionPool
    >>> pool = ConnectionPool(open=False)
    >>> throttle = query_throttle(pool, "SELECT 'paused by ' || name FROM pause")
    """
    check_target("query_throttle()", database, sync=True, has_other=False)
    check_known("query_throttle()", params.values())
    statement = sql(query, **params).all(_reason)

    def throttle() -> str | None:
        return next(iter(run(database, statement, read_only=True)), None)

    return throttle


def replica_lag_throttle(
    primary: Connection[Any] | ConnectionPool[Any], max_lag: timedelta
) -> Callable[[], str | None]:
    """Make a throttle from the lag of a primary's replicas.

    :param primary: as ``database`` of :func:`query_throttle`. Its role must see the replication of
        other sessions, as ``pg_monitor`` does (PostgreSQL documentation, "pg_stat_replication").
    :param max_lag: how far the replay of a replica may lag.
    """
    call = "replica_lag_throttle"
    check_target(f"{call}()", primary, sync=True, has_other=False)
    checked(call, "max_lag", max_lag, timedelta, "timedelta(seconds=…)", error=TypeError)
    return query_throttle(primary, _LAG, max_lag=max_lag)


def _reason(row: dict[str, Any]) -> str:
    (reason,) = row.values()
    return str(textual(reason))
