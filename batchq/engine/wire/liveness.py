# SPDX-License-Identifier: MIT
"""A look at the socket before the first byte: a link that is closed already is not written to.

Idle connections that a server, a proxy or a firewall has closed are daily life. What is written to
one is lost, and nobody can say afterwards that it was.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

import psycopg
from attrs import frozen
from psycopg import OperationalError

from batchq.engine.client_encoding import codec
from batchq.engine.wire.exchange import forward_notifications
from batchq.engine.wire.read_error import read_error
from batchq.language.violation import Violation

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn, PGresult

    from batchq.engine.dialects import Dialect


@frozen
class ClosedLink:
    """A link that is closed."""

    error: psycopg.Error
    """Why: what the server said last, or libpq's words."""
    final_error: Violation | None
    """The error with which the server ended the session, where it came through."""


def closed_link(pg: PGconn, dialect: Dialect, encoding: str) -> ClosedLink | None:
    """Look whether the link is closed, and keep what else has come over it.

    A living link may be readable too: a session that LISTENs, a notice, a setting that was
    reloaded, a ticket of TLS. So everything that is there is read, by libpq as ever, and handed on.
    The look is one system call; what lies behind a network that drops packets it cannot see.
    """
    if not _readable(pg.socket):
        return None
    return _read_pending(pg, dialect, encoding)


def _read_pending(pg: PGconn, dialect: Dialect, encoding: str) -> ClosedLink | None:
    """Read what has come, and find out whether it was the end."""
    final_error: Violation | None = None
    error: psycopg.Error | None = None
    hand_on = pg.notice_handler

    def listen(notice: PGresult) -> None:
        # To libpq an error that answers nothing is a notice.
        nonlocal final_error
        said = read_error(notice, dialect, codec(encoding))
        if dialect.ends_session(said):
            final_error = said
        if hand_on:
            hand_on(notice)

    while error is None and _readable(pg.socket):
        pg.notice_handler = listen
        try:
            error = _consume(pg)
            forward_notifications(pg)
        finally:
            pg.notice_handler = hand_on
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


if hasattr(select, "poll"):

    def _readable(fd: int) -> bool:
        look = select.poll()
        look.register(fd, select.POLLIN)
        return bool(look.poll(0))

else:  # Windows, where select() takes any descriptor

    def _readable(fd: int) -> bool:
        return bool(select.select([fd], (), (), 0)[0])
