# SPDX-License-Identifier: MIT
"""Note the outcome of a batch on an exception that interrupts it: Ctrl-C, a cancelled task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from batchq.engine.result import Failed
from batchq.language.exceptions import annotate
from batchq.language.outcome import Outcome

if TYPE_CHECKING:
    from batchq.engine.result import Result

_NOTE = "batchq: interrupted; the outcome"
_OUTER_ROLLED_BACK = "batchq: the connection was closed, so the outer transaction is rolled back"


def note_interrupt(error: BaseException, *outcomes: Outcome) -> None:
    """Add a note with the outcome, unless there is one: the attempt adds the most precise first.

    :param outcomes: that of the batch; of :func:`~batchq.result.run_many`, of each.
    """
    if any(note.startswith(_NOTE) for note in getattr(error, "__notes__", ())):
        return
    if len(outcomes) == 1:
        annotate(error, f"{_NOTE} of the batch is {outcomes[0].value}")
    else:
        annotate(error, f"{_NOTE}s of the batches are {', '.join(_ranges(outcomes))}")


def _ranges(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield each outcome with the places of batches in a row that have it: ``0-3 committed``."""
    place = 0
    for outcome, same in groupby(outcomes):
        count = len(list(same))
        places = f"{place}" if count == 1 else f"{place}-{place + count - 1}"
        yield f"{places} {outcome.value}"
        place += count


def note_outer_rolled_back(error: BaseException) -> None:
    """Add a note that the outer transaction of a nested batch is rolled back.

    psycopg's ``transaction()`` would end silently on a closed connection.
    """
    annotate(error, _OUTER_ROLLED_BACK)


def result_outcome(result: Result) -> Outcome:
    """Return the outcome by a result, for a batch that is not nested."""
    return result.outcome if isinstance(result, Failed) else Outcome.COMMITTED
