# SPDX-License-Identifier: MIT
"""From slots to verdict: what became of the transaction, and which step is to blame.

Pure. A statement is blamed only if a server error sits in its slot: not because it came first, not
because the link went while it ran, and not because the session was ended during it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen
from psycopg.pq import ExecStatus

from batchq.engine.dialects import Dialect, ErrorAnswer, Load, as_text
from batchq.engine.flight import CLOSING
from batchq.engine.frame import Frame
from batchq.language.outcome import Outcome
from batchq.language.violation import Violation

_FATAL_ERROR, _SKIPPED = ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED
_ENDS_SESSION = frozenset({"FATAL", "PANIC"})


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

    @property
    def blamed(self) -> int | None:
        """The index of the step that is to blame; nobody is when the session was ended."""
        if self.owner is None or self.owner < 0 or self.session_ended:
            return None
        return self.owner

    @property
    def session_ended(self) -> bool:
        """Whether the server ended the session with the error."""
        return self.violation is not None and self.violation.severity in _ENDS_SESSION


_UNKNOWN, _LOST = Verdict(Outcome.UNKNOWN), Verdict(Outcome.ROLLED_BACK)


def attribute(
    owners: Sequence[int],
    answers: Sequence[Answer | None],
    *,
    frame: Frame,
    dialect: Dialect,
    encoding: str = "utf-8",
    load: Load = as_text,
) -> Verdict:
    """Judge a batch by its slots.

    :param owners: whose command each slot answers.
    :param answers: the slots; None where no answer came.
    :param load: makes Python values of those that a guard found.
    """
    for slot, (owner, answer) in enumerate(zip(owners, answers, strict=True)):
        if answer is None or answer.status == _SKIPPED:
            break
        if answer.status == _FATAL_ERROR:
            return _failed(owner, slot, dialect.violation(answer, encoding, load), frame, dialect)
        if owner == CLOSING and answer.command_status:  # its Parse, before it, has no tag
            # The tag alone would prove nothing, but here every slot before it was answered well.
            # What comes behind it changes nothing any more.
            if answer.command_status == frame.tag:
                return Verdict(frame.kept)
            return Verdict(Outcome.ROLLED_BACK, refused=True)
    return unanswered(frame)


def unanswered(frame: Frame) -> Verdict:
    """Judge a batch that was sent and whose end nobody has seen.

    A transaction of the caller's own ends with the link: its COMMIT was never sent.
    """
    return _LOST if frame.nested else _UNKNOWN


def _failed(owner: int, slot: int, violation: Violation, frame: Frame, dialect: Dialect) -> Verdict:
    outcome = Outcome.ROLLED_BACK
    # Before COMMIT ran, an error is the end of the transaction whatever else it says. At COMMIT,
    # the end of the session, or the server's own doubt, leaves open whether it took effect.
    at_commit = owner == CLOSING and not frame.nested
    session_ended = violation.severity in _ENDS_SESSION
    in_doubt = session_ended or violation.sqlstate in dialect.ambiguous
    # Class 08 is what a pooler says when it has lost the server; the server may have gone on.
    relayed = session_ended and violation.sqlstate.startswith("08") and not frame.nested
    if (at_commit and in_doubt) or relayed or violation.sqlstate == "40003":
        outcome = Outcome.UNKNOWN
    return Verdict(outcome, owner, slot, violation)
