# SPDX-License-Identifier: MIT
"""Note the outcome of a batch on an exception that interrupts it: Ctrl-C, a cancelled task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchq.language.exceptions import annotate
from batchq.language.outcome import Outcome
from batchq.running.result import Failed

if TYPE_CHECKING:
    from batchq.running.result import Result

_NOTE = "batchq: interrupted; the outcome of the batch is "
_OUTER_ROLLED_BACK = "batchq: the connection was closed, so the outer transaction is rolled back"


def note_interrupt(error: BaseException, outcome: Outcome) -> None:
    """Add a note with the outcome, unless there is one: the attempt adds the most precise first."""
    if not any(note.startswith(_NOTE) for note in getattr(error, "__notes__", ())):
        annotate(error, f"{_NOTE}{outcome.value}")


def note_outer_rolled_back(error: BaseException) -> None:
    """Add a note that the outer transaction of a nested batch is rolled back.

    psycopg's ``transaction()`` would end silently on a closed connection.
    """
    annotate(error, _OUTER_ROLLED_BACK)


def result_outcome(result: Result | None) -> Outcome:
    """Return the outcome by a result, or by none yet; for a batch that is not nested."""
    if result is None:
        return Outcome.NOT_SENT
    return result.outcome if isinstance(result, Failed) else Outcome.COMMITTED
