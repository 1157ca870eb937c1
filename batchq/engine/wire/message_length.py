# SPDX-License-Identifier: MIT
"""Reject a message that is longer than the server reads, before anything is sent.

CockroachDB rejects such a message, and identifies the statement only by its place in the flight.
PostgreSQL ends the session, and the outcome of the batch is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Protocol

from batchq.engine.compile.compile import Compiled
from batchq.engine.plan import Plan
from batchq.engine.step import PlacedStep
from batchq.language.errors import InvalidBatch

_PER_VALUE = 6
"""Bytes that Bind adds to each value: its length and its format (PostgreSQL documentation,
"Message Formats")."""
_PER_TYPE = 4
"""Bytes of Parse for each parameter: its type."""
_REST = 128
"""An upper bound of the rest of Parse and Bind: a name, counts, the format of the result."""

Values = Sequence[bytes | bytearray | memoryview | None]
"""Encoded values."""


class Sent(Protocol):
    """The part of an encoded step that has a length."""

    @property
    def compiled(self) -> Compiled:
        """The statement, which has the text."""
        ...

    @property
    def params(self) -> Values:
        """The values."""
        ...


def check_lengths(
    plan: Plan, steps: Sequence[Sent], values: Values, max_bytes: int, *, texts: bool
) -> None:
    """Reject a batch if a message of it is too long.

    :param values: the values of all steps, which are summed first: few batches have a long one.
    :param max_bytes: the most bytes that the server reads in one message.
    :param texts: whether the text of a step may be too long as well.
    :raises InvalidBatch: for the first step that has such a message.
    """
    if not texts and _length(values) <= max_bytes - _REST:
        return
    for index, (placed, step) in enumerate(zip(plan.placed, steps, strict=True)):
        text = len(step.compiled.sql.encode("utf-8", "surrogatepass"))
        text += _PER_TYPE * len(step.params)
        what, length = max(("values", _length(step.params)), ("SQL", text), key=itemgetter(1))
        if length > max_bytes - _REST:
            place = PlacedStep(index, placed)
            message = (
                f"{place}: its {what} would be a message of {length:,} bytes, and this server "
                f"reads at most {max_bytes:,}; send it in parts"
            )
            raise InvalidBatch(message, step=place)


def _length(values: Values) -> int:
    return sum(map(len, filter(None, values))) + _PER_VALUE * len(values)
