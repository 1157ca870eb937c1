# SPDX-License-Identifier: MIT
"""Server sessions that one test hands on to the next.

To start a session, with its process and its caches, takes as long as what most tests do in it.
DISCARD ALL leaves nothing of a test in a session, and a psycopg connection is never used again.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import psycopg
from psycopg.pq import ExecStatus, PGconn, PipelineStatus, TransactionStatus

_OF_THE_CLIENT = {"autocommit", "prepare_threshold"}
"""Arguments of `psycopg.connect` that the server does not see."""

_IDLE = (TransactionStatus.IDLE, PipelineStatus.OFF)


class Sessions:
    """Opens connections, in sessions that earlier ones have left.

    :param reuse: if False, each connection has a session of its own.
    """

    def __init__(self, *, reuse: bool) -> None:
        self._reuse = reuse
        self._idle: defaultdict[str, list[PGconn]] = defaultdict(list)
        self._lent: dict[psycopg.Connection[Any], str] = {}

    def connect(self, conninfo: str, **kwargs: Any) -> psycopg.Connection[Any]:
        """Return a new connection, in autocommit by default."""
        kwargs = {"autocommit": True, **kwargs}
        if not self._reuse or kwargs.keys() - _OF_THE_CLIENT:
            return psycopg.connect(conninfo, **kwargs)
        if idle := self._idle[conninfo]:
            conn = psycopg.Connection(idle.pop())
            for name, value in kwargs.items():
                setattr(conn, name, value)
        else:
            conn = psycopg.connect(conninfo, **kwargs)
        self._lent[conn] = conninfo
        return conn

    def release(self, conn: psycopg.Connection[Any]) -> None:
        """Close a connection, and keep its session if nothing can be left in it."""
        conninfo = self._lent.pop(conn, None)
        pgconn = conn.pgconn
        if (
            conninfo is not None
            and (pgconn.transaction_status, pgconn.pipeline_status) == _IDLE
            and pgconn.exec_(b"DISCARD ALL").status == ExecStatus.COMMAND_OK
        ):
            # A late use of the connection must fail, and not disturb the next test.
            del conn.pgconn
            self._idle[conninfo].append(pgconn)
        else:
            conn.close()

    def close(self) -> None:
        """End the idle sessions."""
        for idle in self._idle.values():
            for pgconn in idle:
                pgconn.finish()
        self._idle.clear()
