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

from psycopg import OperationalError
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus
from psycopg.waiting import Ready, Wait

from batchq.engine.wire.flight import SYNC

if TYPE_CHECKING:
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn, PGresult
    from psycopg.pq.misc import PGnotify

    from batchq.engine.wire.deadline import Deadline

_log = logging.getLogger("batchq")

_WAIT_R, _WAIT_RW, _READY_R = Wait.R, Wait.RW, Ready.R
# As integers, which psycopg returns: an equal member of the enum would have to be compared.
SUCCESS = frozenset({int(ExecStatus.COMMAND_OK), int(ExecStatus.TUPLES_OK)})
"""The statuses of a command that succeeded."""
_SYNCED = frozenset({int(ExecStatus.PIPELINE_SYNC)})
_BAD = ConnStatus.BAD
_OF_COMMAND, _OF_SYNC = (True, False), (True,)
"""What libpq returns for a command: the answer, and a NULL after it; none after that to a Sync."""


class Slots:
    """The answers of a flight, one for each command; None if the connection was lost first."""

    __slots__ = ("answers", "are_well", "lost", "sent")

    def __init__(self) -> None:
        self.answers: list[PGresult | None] = []
        self.lost: OperationalError | None = None
        """Why the connection is lost or no longer usable; None if it is usable."""
        self.are_well: bool = True
        """Whether every command so far has succeeded."""
        self.sent: bool = False
        """True once bytes may have been sent: from then on, without an answer, anything is
        possible."""


Part = tuple["Callable[[], None]", Sequence[int], Slots, "Callable[[], None] | None"]
"""The commands of one transaction, among those of a flight.

That is: what passes them to libpq; their owners; empty slots, which are filled as answers arrive;
what is called when all have, before those of the next part are read."""


def exchange(pg: PGconn, parts: Sequence[Part]) -> PQGen[None]:
    """Send a flight and read until every Sync is answered or the connection is lost.

    A lost connection raises no error here: the answers received before it decide the outcome, and
    COMMIT's tag may already be in the buffer. If it was lost in one part, it is for those after it.

    All commands are written to libpq's buffer at once. libpq does not block, sends from 8 KiB on,
    and keeps what the socket does not accept. The rest is flushed while reading, because a server
    that cannot send its answers stops reading.

    :param parts: the transactions of the flight, in order; nearly always one.
    :raises psycopg.OperationalError: if libpq rejects a command on a usable connection. The caller
        has to close it, because a Sync sent on it would commit the part that was sent.
    """
    lost: OperationalError | None = None
    for _, _, slots, _ in parts:
        slots.sent = True
    try:
        pg.enter_pipeline_mode()
        for send, _, _, _ in parts:
            send()
        if pg.flush():
            yield from _flush(pg)
    except OperationalError as error:
        if pg.status != _BAD:
            raise
        lost = error
    for _, owners, slots, answered in parts:
        slots.lost = lost
        yield from _receive(pg, owners, slots)
        lost = slots.lost
        if answered is not None:
            answered()
    while notification := pg.notifies():
        forward(pg, notification)
    if lost is None:
        pg.exit_pipeline_mode()


def _flush(pg: PGconn) -> PQGen[None]:
    """Send what the socket did not accept at once."""
    while True:
        ready = yield _WAIT_RW
        if ready and ready & _READY_R:
            pg.consume_input()
        if not pg.flush():
            return


def _receive(pg: PGconn, owners: Sequence[int], slots: Slots) -> PQGen[None]:
    """Read the answer to each command."""
    answers = slots.answers
    for owner in owners:
        for is_answer in _OF_SYNC if owner == SYNC else _OF_COMMAND:
            try:
                while pg.is_busy() and pg.status != _BAD:
                    if (yield _WAIT_R):
                        pg.consume_input()
            except OperationalError as error:
                slots.lost = error
            answer = pg.get_result()
            if is_answer:
                status = None if answer is None else answer.status
                if status not in (_SYNCED if owner == SYNC else SUCCESS):
                    answer = _not_well(pg, slots, owner, answer)
                answers.append(answer)


def forward(pg: PGconn, notification: PGnotify) -> None:
    """Pass a notification to the connection's handler, as psycopg does.

    If the handler fails, that is logged, as psycopg does for notices: the batch being read has not
    failed, and its other answers are still to be read.
    """
    if pg.notify_handler:
        try:
            pg.notify_handler(notification)
        except Exception:  # noqa: BLE001  the caller's function
            _log.exception("a handler of notifications failed")


def _not_well(pg: PGconn, slots: Slots, owner: int, answer: PGresult | None) -> PGresult | None:
    """Record that a command did not succeed; return what is put into its slot.

    After the connection is lost, libpq still returns the answers received. Then it returns an error
    of its own in the slot of a command that was never answered, and that slot has None.
    """
    slots.are_well = False
    if answer is None:
        return None
    is_error = answer.status == ExecStatus.FATAL_ERROR
    if is_error and pg.status == _BAD and answer.error_field(DiagnosticField.SQLSTATE) is None:
        slots.lost = slots.lost or OperationalError(_message(answer))
        return None
    if owner == SYNC:
        # Only the error that ends the session replaces a Sync's answer, even COMMIT's.
        slots.lost = OperationalError(_message(answer))
    return answer


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
