# SPDX-License-Identifier: MIT
"""The wire: the only I/O of batchq, one generator for sync and async alike.

psycopg drives its own protocol logic this way: a generator yields what it waits for on the socket,
``Connection.wait`` or ``AsyncConnection.wait`` waits, and sends back what is ready. This is the one
file that leans on that protocol (``psycopg.waiting.Wait`` and ``Ready``; no yield means no wait); a
contract test pins what it needs.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from attrs import define
from psycopg import OperationalError
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus
from psycopg.waiting import Ready, Wait

from batchq.engine.wire.flight import SYNC, Flight

if TYPE_CHECKING:
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn, PGresult

    from batchq.engine.wire.deadline import Deadline

_log = logging.getLogger("batchq")

_WAIT_R, _WAIT_RW, _READY_R = Wait.R, Wait.RW, Ready.R
_FATAL_ERROR, _PIPELINE_SYNC = ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_SYNC
_BAD = ConnStatus.BAD


@define(eq=False)
class Slots:
    """What came back: one answer a command, None where the link was gone before it came."""

    answers: list[PGresult | None]
    lost: OperationalError | None = None
    """Why the link is gone or no longer usable, when it is."""


def exchange(pg: PGconn, flight: Flight, slots: Slots) -> PQGen[None]:
    """Send a flight and read until every Sync is answered or the link is gone.

    :param slots: empty ones, to be filled; they hold what has come so far at any time.

    Never raises for a lost link: what was answered before it went decides the outcome, and COMMIT's
    tag may lie in the buffer already.

    The commands go to libpq's buffer all at once: it does not block, sends from 8 KiB on, and keeps
    what the socket does not take. The rest is flushed while reading, for a server that cannot get
    rid of its answers stops reading.

    :raises psycopg.OperationalError: when libpq refuses a command on a living link. The connection
        has to be closed then: repairing it would commit the part that was sent.
    """
    try:
        yield from _send(pg, flight)
    except OperationalError as error:
        if pg.status != _BAD:
            raise
        slots.lost = error
    for owner in flight.owners:
        yield from _wait_for_result(pg, slots) if pg.is_busy() else ()
        answer = pg.get_result()
        if answer is not None and answer.status == _FATAL_ERROR:
            answer = _server_error(pg, slots, answer)
        slots.answers.append(answer)
        if owner != SYNC:
            yield from _wait_for_result(pg, slots) if pg.is_busy() else ()
            pg.get_result()  # the NULL that closes each command's results
        elif answer is not None and answer.status != _PIPELINE_SYNC:
            # Only the end of the session stands in a Sync's place, right behind COMMIT's tag even.
            slots.lost = OperationalError(_message(answer))
    forward_notifications(pg)
    if slots.lost is None:
        pg.exit_pipeline_mode()


def forward_notifications(pg: PGconn) -> None:
    """Hand on what LISTEN brought in passing, as psycopg does.

    A handler that fails is logged, as psycopg logs those of notices: it is no failure of the batch
    that happens to be read, and the answers behind it are still to come.
    """
    while notification := pg.notifies():
        if pg.notify_handler:
            try:
                pg.notify_handler(notification)
            except Exception:  # noqa: BLE001  the caller's function
                _log.exception("a handler of notifications failed")


def _send(pg: PGconn, flight: Flight) -> PQGen[None]:
    """Hand every command to libpq, and its buffer to the socket."""
    pg.enter_pipeline_mode()
    for command in flight.commands:
        command()
    while pg.flush():
        ready = yield _WAIT_RW
        if ready and ready & _READY_R:
            pg.consume_input()


def _wait_for_result(pg: PGconn, slots: Slots) -> PQGen[None]:
    """Wait until the next result is there, or the link is gone."""
    try:
        while pg.status != _BAD and pg.is_busy():
            if (yield _WAIT_R):
                pg.consume_input()
    except OperationalError as error:
        slots.lost = error


def _server_error(pg: PGconn, slots: Slots, answer: PGresult) -> PGresult | None:
    """Keep an error of the server's; drop one of libpq's own making.

    With the link gone libpq still hands out what was received, and then says so in the slot of a
    command that was never answered.
    """
    if pg.status != _BAD or answer.error_field(DiagnosticField.SQLSTATE) is not None:
        return answer
    slots.lost = slots.lost or OperationalError(_message(answer))
    return None


def _message(answer: PGresult) -> str:
    return answer.get_error_message().strip()


def until(gen: PQGen[None], deadline: Deadline) -> PQGen[bool]:
    """Drive a generator until it ends, which is True, or the deadline passes.

    It can be driven on afterwards. What has come is read before the clock is looked at.
    """
    try:
        state = next(gen)
        while not deadline.passed:
            state = gen.send((yield state))
    except StopIteration:
        return True
    return False
