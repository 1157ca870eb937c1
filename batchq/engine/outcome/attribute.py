# SPDX-License-Identifier: MIT
"""Derive the outcome of the transaction, and the step that failed, from the answers.

Pure functions. A step has failed only if its slot holds an error of the server: not because it was
the first one, not because the connection was lost while it ran, and not because the server ended
the session during it. "Committed" and "rolled back" both need a proof; anything else is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from attrs import field, frozen
from psycopg.pq import ExecStatus

from batchq.engine.dialects import Dialect, ErrorAnswer
from batchq.engine.wire.flight import CLOSING, SYNC
from batchq.engine.wire.frame import Frame
from batchq.engine.wire.read_error import LoadCell, ServerError, as_text, read_error
from batchq.language.outcome import Outcome
from batchq.language.violation import Violation

_SUCCESS = frozenset({ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK})
_FATAL_ERROR, _SKIPPED = ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED
_SYNCED = ExecStatus.PIPELINE_SYNC

_COMPLETION_UNKNOWN = "40003"
"""PostgreSQL documentation, appendix A: statement_completion_unknown."""


class Answer(ErrorAnswer, Protocol):
    """The attributes of a PGresult that :func:`attribute` reads."""

    @property
    def status(self) -> int:
        """Return the status of the command."""
        ...

    @property
    def command_status(self) -> bytes | None:
        """Return the command tag: ``INSERT 0 1``, ``COMMIT``."""
        ...


Answers = Sequence[Answer | None]


@frozen
class TableFacts:
    """Facts from the catalog about a table that a step writes to."""

    may_change_rows: bool
    """True if a trigger, a rule or a view may change the rows that the step writes."""
    may_write_more: bool
    """True if writing these rows may also write other rows, in this table or in another one."""
    is_other: bool
    """True if it is certainly not the table of the violation."""


@frozen
class Verdict:
    """The outcome of a batch, and its first error, as the slots prove them."""

    outcome: Outcome
    owner: int | None = None
    """Owner of the slot with the server's error, if there is one: a step's index, or a negative
    number for a part of the frame."""
    slot: int | None = None
    """Index of that slot."""
    violation: Violation | None = None
    refused: bool = False
    """True if the closing command was answered by another tag than its own: COMMIT by
    ``ROLLBACK``, for example."""
    session_ended: bool = False
    """True if the server ended the session with the error."""
    relayed: bool = False
    """True if a pooler wrote the error, because it lost the server or disconnected it: the server
    may have continued meanwhile."""
    tables: Mapping[str, TableFacts] | None = None
    """Facts about the tables of the steps that may have failed, by quoted name; None if they were
    not looked up, or the look-up failed."""
    link_lost: bool = field(init=False)
    """True if the connection is lost."""
    step_index: int | None = field(init=False)
    """Index of the step that failed; None if the frame did, or the session ended."""

    def __attrs_post_init__(self) -> None:
        """Derive the last two, which a failure is asked for again and again."""
        link_lost = self.session_ended or self.relayed
        is_step = self.owner is not None and self.owner >= 0 and not link_lost
        object.__setattr__(self, "link_lost", link_lost)
        object.__setattr__(self, "step_index", self.owner if is_step else None)

    @property
    def may_change_rows(self) -> bool | None:
        """Return True if a trigger, a rule or a view may have changed the rows of these steps; None
        if that is unknown."""
        if self.tables is None:
            return None
        return any(table.may_change_rows for table in self.tables.values())


_COMMITTED, _RELEASED = Verdict(Outcome.COMMITTED), Verdict(Outcome.RELEASED)
_UNKNOWN, _LOST = Verdict(Outcome.UNKNOWN), Verdict(Outcome.ROLLED_BACK)


def attribute(
    owners: Sequence[int],
    answers: Answers,
    *,
    frame: Frame,
    dialect: Dialect,
    encoding: str = "utf-8",
    load: LoadCell = as_text,
) -> Verdict:
    """Return the verdict on a batch.

    :param owners: owner of the command that each slot answers.
    :param answers: answer in each slot; None if none came.
    :param load: converts the values that a guard reports to Python.
    """
    for slot, (owner, answer) in enumerate(zip(owners, answers, strict=True)):
        if answer is None:
            break
        status = answer.status
        if status in _SUCCESS:
            verdict = closing_verdict(answer, frame) if owner == CLOSING else None
            if verdict is not None:
                return verdict
        elif status == _FATAL_ERROR:
            error = read_error(answer, dialect, encoding, load)
            return _failed(owners, answers, slot, error, frame=frame, dialect=dialect)
        elif status != _SYNCED or owner != SYNC:
            break
    # It was sent, and its end was not answered.
    return _UNKNOWN if frame.unseen is Outcome.UNKNOWN else _LOST


def closing_verdict(closing: Answer | None, frame: Frame) -> Verdict | None:
    """Return the verdict that follows from the tag of the closing command.

    The tag alone would prove nothing: every slot before it has to hold a success. The slots after
    it cannot change the outcome.

    :return: None if there is no tag, as in the answer to the command's Parse.
    """
    tag = None if closing is None else closing.command_status
    if tag == frame.tag:
        return _RELEASED if frame.nested else _COMMITTED
    if not tag:
        return None
    return Verdict(Outcome.ROLLED_BACK if tag == b"ROLLBACK" else frame.unseen, refused=True)


def _failed(
    owners: Sequence[int],
    answers: Answers,
    slot: int,
    error: ServerError,
    *,
    frame: Frame,
    dialect: Dialect,
) -> Verdict:
    """Return the verdict that follows from the first error."""
    owner, violation = owners[slot], error.violation
    ended, relayed = error.ends_session, error.is_relayed
    skipped, synced = _after(owners, answers, slot)
    in_doubt = violation.sqlstate == _COMPLETION_UNKNOWN
    if relayed or in_doubt or not skipped:
        proven = False
    elif owner == CLOSING:
        proven = dialect.proofs.nothing_applied(violation.sqlstate, fatal=ended, synced=synced)
    else:
        # COMMIT comes after it, and is skipped or finds no transaction.
        proven = ended or owner != SYNC
    outcome = Outcome.ROLLED_BACK if proven else frame.unseen
    if in_doubt and frame.nested:
        outcome = Outcome.UNKNOWN
    return Verdict(outcome, owner, slot, violation, session_ended=ended, relayed=relayed)


def _after(owners: Sequence[int], answers: Answers, slot: int) -> tuple[bool, bool]:
    """Return what follows an error: whether the server skipped every command up to the next Sync,
    as the protocol demands, and whether it answered that Sync."""
    for owner, answer in zip(owners[slot + 1 :], answers[slot + 1 :], strict=True):
        if owner == SYNC:
            return True, answer is not None and answer.status == _SYNCED
        if answer is not None and answer.status != _SKIPPED:
            return False, False
    return True, False
