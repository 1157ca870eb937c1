# SPDX-License-Identifier: MIT
"""Check before the first byte is sent whether the connection is closed already.

A server, a proxy or a firewall often closes idle connections. A batch written to such a connection
is lost, and its outcome would be unknown.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

import psycopg
from attrs import frozen
from psycopg import OperationalError

from batchq.engine.client_encoding import codec
from batchq.engine.wire.exchange import forward
from batchq.engine.wire.read_error import read_error
from batchq.language.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.pq.abc import PGconn, PGresult

    from batchq.engine.dialects import Dialect


@frozen
class ClosedLink:
    """A connection that is closed."""

    error: psycopg.Error
    """The server's final error, or libpq's."""
    final_error: Violation | None
    """The error with which the server ended the session, if it was received."""


@frozen
class Watched:
    """The socket of a connection, to be asked whether the server has closed it."""

    fd: int
    has_arrived: Callable[[int], object]
    """Whether the socket is closed, or has something to read, within so many milliseconds: one
    system call. It cannot detect a network that drops packets."""


if hasattr(select, "poll"):

    def watched(fd: int) -> Watched:
        """Return a socket to watch, which is prepared once for all batches of a connection."""
        look = select.poll()
        look.register(fd, select.POLLIN)
        return Watched(fd, look.poll)

else:  # Windows, where select() accepts any descriptor

    def watched(fd: int) -> Watched:
        """Return a socket to watch."""
        return Watched(fd, lambda timeout: select.select([fd], (), (), timeout / 1000)[0])


def closed_link(
    pg: PGconn, has_arrived: Callable[[int], object], dialect: Dialect, encoding: str
) -> ClosedLink | None:
    """Read what has arrived; return the closed connection, if the session has ended.

    A usable connection may be readable as well: for a notification, a notice, a reloaded setting or
    a TLS ticket. So libpq reads everything that has arrived, and passes it to the handlers.
    """
    final_error: Violation | None = None
    error: psycopg.Error | None = None
    notice_handler = pg.notice_handler

    def handle(notice: PGresult) -> None:
        # libpq reports an error that answers no command as a notice.
        nonlocal final_error
        answer = read_error(notice, dialect, codec(encoding))
        if answer.ends_session:
            final_error = answer.violation
        if notice_handler:
            notice_handler(notice)

    while error is None and has_arrived(0):
        pg.notice_handler = handle
        try:
            error = _consume(pg)
            while notification := pg.notifies():
                forward(pg, notification)
        finally:
            pg.notice_handler = notice_handler
    if final_error is not None:
        error = _error_of(final_error)
    return None if error is None else ClosedLink(error, final_error)


def _consume(pg: PGconn) -> psycopg.Error | None:
    try:
        pg.consume_input()
    except OperationalError as error:
        return error
    return None


def _error_of(final_error: Violation) -> psycopg.Error:
    try:
        cls = psycopg.errors.lookup(final_error.sqlstate)
    except KeyError:
        cls = OperationalError
    return cls(str(final_error))
