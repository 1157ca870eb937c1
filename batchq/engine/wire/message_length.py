# SPDX-License-Identifier: MIT
"""How long a message may be. What a server does not read is refused before anything is sent.

CockroachDB refuses such a message, and says of which statement only by its place in the flight.
PostgreSQL ends the session, and nobody is told what became of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Protocol

from batchq.engine.compile.compile import Compiled
from batchq.engine.plan import Plan
from batchq.engine.step import PlacedStep
from batchq.language.errors import InvalidBatch

_BESIDE_VALUE = 6
"""Bytes that Bind has beside each value: its length and its format (PostgreSQL documentation,
"Message Formats")."""
_BESIDE_TYPE = 4
"""Bytes that Parse has for each parameter: its type."""
_BESIDE_ALL = 128
"""At least as many as Parse and Bind have besides: a name, counts, the format of the answer."""

Values = Sequence[bytes | bytearray | memoryview | None]
"""As they are sent."""


class Sent(Protocol):
    """The part of an encoded step that has a length."""

    @property
    def compiled(self) -> Compiled:
        """Its text."""
        ...

    @property
    def params(self) -> Values:
        """Its values."""
        ...


def check_lengths(
    plan: Plan, steps: Sequence[Sent], values: Values, max_bytes: int, *, texts: bool
) -> None:
    """Refuse what is too long for one message.

    :param values: those of all steps. They are summed at once, as most batches have nothing big.
    :param max_bytes: bytes that the server reads in one message.
    :param texts: whether the text of a step may be too long as well.
    :raises InvalidBatch: for the first step that has such a message.
    """
    if not texts and _length(values) <= max_bytes - _BESIDE_ALL:
        return
    for index, (leaf, step) in enumerate(zip(plan.placed, steps, strict=True)):
        text = len(step.compiled.sql.encode("utf-8", "surrogatepass"))
        text += _BESIDE_TYPE * len(step.params)
        what, length = max(("values", _length(step.params)), ("SQL", text), key=itemgetter(1))
        if length > max_bytes - _BESIDE_ALL:
            place = PlacedStep(index, leaf)
            message = (
                f"{place}: its {what} would be a message of {length:,} bytes, and this server "
                f"reads {max_bytes:,}: send it in parts"
            )
            raise InvalidBatch(message, step=place)


def _length(values: Values) -> int:
    return sum(map(len, filter(None, values))) + _BESIDE_VALUE * len(values)
