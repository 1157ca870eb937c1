# SPDX-License-Identifier: MIT
"""From slots to verdict: what became of the transaction, and which step is to blame.

Pure. A statement is blamed only if a server error sits in its slot: not because it came first, not
because the link went while it ran, and not because the session was ended during it. "Committed" and
"rolled back" are both said only of what proves them; whatever is left over is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from attrs import frozen
from psycopg.pq import ExecStatus

from batchq.engine.dialects import Dialect, ErrorAnswer
from batchq.engine.wire.flight import CLOSING, SYNC
from batchq.engine.wire.frame import Frame
from batchq.engine.wire.read_error import LoadCell, as_text, read_error
from batchq.language.outcome import Outcome
from batchq.language.violation import Violation

_WELL = frozenset({ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK})
_FATAL_ERROR, _SKIPPED = ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED
_SYNCED = ExecStatus.PIPELINE_SYNC

_COMPLETION_UNKNOWN = "40003"
"""The server's own word that it does not know (PostgreSQL documentation, appendix A)."""


class Answer(ErrorAnswer, Protocol):
    """The part of a PGresult that is read here."""

    @property
    def status(self) -> int:
        """How the command went."""
        ...

    @property
    def command_status(self) -> bytes | None:
        """The command's tag: ``INSERT 0 1``, ``COMMIT``."""
        ...


Answers = Sequence[Answer | None]


@frozen
class TableFacts:
    """What the server says of a table that a step writes to."""

    may_change_rows: bool
    """Whether a trigger, a rule or a view may make other rows of what the step says."""
    may_write_more: bool
    """Whether more than that step's rows may be written with them, there or elsewhere."""
    is_other: bool
    """Whether it is certain to be another table than the one that the violation is about."""


@frozen
class Verdict:
    """What the slots say."""

    outcome: Outcome
    owner: int | None = None
    """In whose slot the error sits, when the server sent one: a step's index, or the frame."""
    slot: int | None = None
    """In which slot it sits."""
    violation: Violation | None = None
    refused: bool = False
    """Whether the closing command answered, without an error, that it did something else."""
    session_ended: bool = False
    """Whether the server ended the session with the error."""
    relayed: bool = False
    """Whether the error is the word of a pooler, which lost the server or took it away: the server
    may have gone on meanwhile."""
    tables: Mapping[str, TableFacts] | None = None
    """What the server says of the tables that decide whose failure it is, by their quoted names;
    None where it was not asked, or gave no answer."""

    @property
    def may_change_rows(self) -> bool | None:
        """Whether a trigger, a rule or a view may have made other rows of what the steps say."""
        return None if self.tables is None else any(t.may_change_rows for t in self.tables.values())

    @property
    def link_lost(self) -> bool:
        """Whether nothing more can be had from the connection."""
        return self.session_ended or self.relayed

    @property
    def step_index(self) -> int | None:
        """The index of the step that is to blame; nobody is when the session was ended."""
        if self.owner is None or self.owner < 0 or self.link_lost:
            return None
        return self.owner


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
    """Judge a batch by its slots.

    :param owners: whose command each slot answers.
    :param answers: the slots; None where no answer came.
    :param load: makes Python values of those that a guard found.
    """
    for slot, (owner, answer) in enumerate(zip(owners, answers, strict=True)):
        if answer is None:
            break
        status = answer.status
        if status in _WELL:
            if owner == CLOSING and answer.command_status:  # its Parse, before it, has no tag
                return _closed(answer.command_status, frame)
        elif status == _FATAL_ERROR:
            violation = read_error(answer, dialect, encoding, load)
            return _failed(owners, answers, slot, violation, frame=frame, dialect=dialect)
        elif status != _SYNCED or owner != SYNC:
            break
    return unanswered(frame)


def unanswered(frame: Frame) -> Verdict:
    """Judge a batch that was sent and whose end nobody has seen."""
    return _UNKNOWN if frame.unseen is Outcome.UNKNOWN else _LOST


def _closed(tag: bytes, frame: Frame) -> Verdict:
    """Judge by the closing command's tag.

    The tag alone would prove nothing, but here every slot before it was answered well. What comes
    behind it changes nothing any more.
    """
    if tag == frame.tag:
        return _COMMITTED if frame.outcome_on_success is Outcome.COMMITTED else _RELEASED
    return Verdict(Outcome.ROLLED_BACK if tag == b"ROLLBACK" else frame.unseen, refused=True)


def _failed(
    owners: Sequence[int],
    answers: Answers,
    slot: int,
    violation: Violation,
    *,
    frame: Frame,
    dialect: Dialect,
) -> Verdict:
    """Judge by the first error."""
    owner, answer = owners[slot], answers[slot]
    ended = dialect.ends_session(violation)
    # Class 08 is what a pooler says when it has lost the server.
    relayed = (
        answer is None
        or not dialect.is_from_server(answer)
        or (ended and violation.sqlstate.startswith("08"))
    )
    skipped, synced = _behind(owners, answers, slot)
    in_doubt = violation.sqlstate == _COMPLETION_UNKNOWN
    if relayed or in_doubt or not skipped:
        proven = False
    elif owner == CLOSING:
        proven = dialect.proofs.nothing_applied(violation.sqlstate, fatal=ended, synced=synced)
    else:
        # COMMIT stands behind it, and is skipped or meets no transaction any more.
        proven = ended or owner != SYNC
    outcome = Outcome.ROLLED_BACK if proven else frame.unseen
    if in_doubt and frame.nested:
        outcome = Outcome.UNKNOWN
    return Verdict(outcome, owner, slot, violation, session_ended=ended, relayed=relayed)


def _behind(owners: Sequence[int], answers: Answers, slot: int) -> tuple[bool, bool]:
    """What stands behind an error: whether the server has skipped all that came before the next
    Sync, as the protocol has it, and whether that Sync was answered."""
    for owner, answer in zip(owners[slot + 1 :], answers[slot + 1 :], strict=True):
        if owner == SYNC:
            return True, answer is not None and answer.status == _SYNCED
        if answer is not None and answer.status != _SKIPPED:
            return False, False
    return True, False
