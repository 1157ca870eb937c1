# SPDX-License-Identifier: MIT
"""What is said to an exception that is nobody's failure: Ctrl-C, the cancellation of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchq.language.exceptions import annotate
from batchq.language.outcome import Outcome
from batchq.running.result import Failed

if TYPE_CHECKING:
    from batchq.running.result import Result

_NOTE = "batchq: interrupted; the outcome of the batch is "
_OUTER_GONE = "batchq: the connection was closed: the transaction around it is rolled back as well"


def note_interrupt(error: BaseException, outcome: Outcome) -> None:
    """Note what became of the batch, once: the attempt knows best, and notes it first."""
    if not any(note.startswith(_NOTE) for note in getattr(error, "__notes__", ())):
        annotate(error, f"{_NOTE}{outcome.value}")


def note_outer_rolled_back(error: BaseException) -> None:
    """Note that a nested batch has taken the transaction around it along.

    It has to be said: psycopg's ``transaction()`` ends without a word on a closed connection.
    """
    annotate(error, _OUTER_GONE)


def result_outcome(answer: Result | None) -> Outcome:
    """What became of a batch that has had its answer, or none yet; it is not nested."""
    if answer is None:
        return Outcome.NOT_SENT
    return answer.outcome if isinstance(answer, Failed) else Outcome.COMMITTED
