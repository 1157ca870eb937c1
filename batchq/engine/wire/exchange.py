# SPDX-License-Identifier: MIT
"""Send a flight and receive its answers: the only I/O of batchq, for sync and async alike.

psycopg drives its own protocol logic in the same way: a generator yields what it waits for on the
socket, and ``Connection.wait`` or ``AsyncConnection.wait`` waits and sends back what is ready. Only
this file depends on that protocol (``psycopg.waiting.Wait`` and ``Ready``; no yield means no wait).
A contract test pins what it needs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from attrs import define, field, frozen
from psycopg import OperationalError
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus
from psycopg.waiting import Ready, Wait

from batchq.engine.wire.flight import SYNC

if TYPE_CHECKING:
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn, PGresult

    from batchq.engine.wire.deadline import Deadline

_log = logging.getLogger("batchq")

_WAIT_R, _WAIT_RW, _READY_R = Wait.R, Wait.RW, Ready.R
SUCCESS = frozenset({ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK})
"""The statuses of a command that succeeded."""
_FATAL_ERROR, _PIPELINE_SYNC = ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_SYNC
_BAD = ConnStatus.BAD


@define(eq=False)
class Slots:
    """The answers of a flight, one for each command; None if the connection was lost first."""

    answers: list[PGresult | None] = field(factory=list["PGresult | None"])
    lost: OperationalError | None = None
    """Why the connection is lost or no longer usable; None if it is usable."""
    are_well: bool = True
    """Whether every command so far has succeeded."""
    sent: bool = False
    """True once bytes may have been sent: from then on, without an answer, anything is possible."""


@frozen
class Part:
    """The commands of one transaction, among those of several that are one flight."""

    owners: Sequence[int]
    slots: Slots
    answered: Callable[[], None]
    """Called when its answers have arrived, before those of the next part are read."""


def exchange(
    pg: PGconn, send: Callable[[], None], owners: Sequence[int], slots: Slots
) -> PQGen[None]:
    """Send a flight and read until every Sync is answered or the connection is lost.

    A lost connection raises no error here: the answers received before it decide the outcome, and
    COMMIT's tag may already be in the buffer.

    All commands are written to libpq's buffer at once. libpq does not block, sends from 8 KiB on,
    and keeps what the socket does not accept. The rest is flushed while reading, because a server
    that cannot send its answers stops reading.

    :param send: passes every command to libpq.
    :param owners: the owner of each command, in order.
    :param slots: empty slots, which are filled as answers arrive.
    :raises psycopg.OperationalError: if libpq rejects a command on a usable connection. The caller
        has to close it, because a Sync sent on it would commit the part that was sent.
    """
    yield from _send(pg, send, slots)
    yield from _receive(pg, owners, slots)
    _end(pg, slots)


def exchange_parts(pg: PGconn, send: Callable[[], None], parts: Sequence[Part]) -> PQGen[None]:
    """Send the commands of several transactions at once; as :func:`exchange`.

    A connection that was lost in one part is lost for those after it.
    """
    for part in parts:
        part.slots.sent = True
    slots = parts[0].slots
    yield from _send(pg, send, slots)
    lost = slots.lost
    for part in parts:
        slots = part.slots
        slots.lost = lost
        yield from _receive(pg, part.owners, slots)
        lost = slots.lost
        part.answered()
    _end(pg, slots)


def _receive(pg: PGconn, owners: Sequence[int], slots: Slots) -> PQGen[None]:
    """Read the answer to each command."""
    for owner in owners:
        yield from _wait_for_result(pg, slots) if pg.is_busy() else ()
        answer = pg.get_result()
        status = None if answer is None else answer.status
        if answer is not None and status == _FATAL_ERROR:
            answer = _server_error(pg, slots, answer)
        slots.answers.append(answer)
        if owner != SYNC:
            yield from _wait_for_result(pg, slots) if pg.is_busy() else ()
            pg.get_result()  # the NULL that closes each command's results
            if status not in SUCCESS:
                slots.are_well = False
        elif status != _PIPELINE_SYNC:
            slots.are_well = False
            if answer is not None:
                # Only the error that ends the session replaces a Sync's answer, even COMMIT's.
                slots.lost = OperationalError(_message(answer))


def _end(pg: PGconn, slots: Slots) -> None:
    forward_notifications(pg)
    if slots.lost is None:
        pg.exit_pipeline_mode()


def forward_notifications(pg: PGconn) -> None:
    """Pass notifications to the connection's handler, as psycopg does.

    If the handler fails, that is logged, as psycopg does for notices: the batch being read has not
    failed, and its other answers are still to be read.
    """
    while notification := pg.notifies():
        if pg.notify_handler:
            try:
                pg.notify_handler(notification)
            except Exception:  # noqa: BLE001  the caller's function
                _log.exception("a handler of notifications failed")


def _send(pg: PGconn, send: Callable[[], None], slots: Slots) -> PQGen[None]:
    """Pass every command to libpq, and flush its buffer to the socket."""
    slots.sent = True
    try:
        pg.enter_pipeline_mode()
        send()
        while pg.flush():
            ready = yield _WAIT_RW
            if ready and ready & _READY_R:
                pg.consume_input()
    except OperationalError as error:
        if pg.status != _BAD:
            raise
        slots.lost = error


def _wait_for_result(pg: PGconn, slots: Slots) -> PQGen[None]:
    """Wait until the next result has arrived, or the connection is lost."""
    try:
        while pg.status != _BAD and pg.is_busy():
            if (yield _WAIT_R):
                pg.consume_input()
    except OperationalError as error:
        slots.lost = error


def _server_error(pg: PGconn, slots: Slots, answer: PGresult) -> PGresult | None:
    """Return an error that the server sent; record an error of libpq as the lost connection.

    After the connection is lost, libpq still returns the answers received. Then it returns an error
    of its own in the slot of a command that was never answered.
    """
    if pg.status != _BAD or answer.error_field(DiagnosticField.SQLSTATE) is not None:
        return answer
    slots.lost = slots.lost or OperationalError(_message(answer))
    return None


def _message(answer: PGresult) -> str:
    return answer.get_error_message().strip()


def until(gen: PQGen[None], deadline: Deadline) -> PQGen[bool]:
    """Drive a generator until it ends or the deadline passes; return whether it ended.

    It can be driven further afterwards. Arrived answers are read before the clock is checked.
    """
    try:
        state = next(gen)
        while not deadline.passed:
            state = gen.send((yield state))
    except StopIteration:
        return True
    return False
