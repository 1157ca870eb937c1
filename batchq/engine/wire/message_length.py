# SPDX-License-Identifier: MIT
"""Reject a message that is longer than the server reads, before anything is sent.

CockroachDB rejects such a message, and identifies the statement only by its place in the flight.
PostgreSQL ends the session, and the outcome of the batch is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Protocol

from batchq.engine.plan import Plan
from batchq.engine.program import Program
from batchq.engine.step import invalid_step

PER_VALUE = 6
"""Bytes that Bind adds to each value: its length and its format (PostgreSQL documentation,
"Message Formats")."""
_PER_TYPE = 4
"""Bytes of Parse for each parameter: its type."""
REST = 128
"""An upper bound of the rest of Parse and Bind: a name, counts, the format of the result."""

Values = Sequence[bytes | bytearray | memoryview | None]
"""Encoded values."""


class Sent(Protocol):
    """The part of an encoded batch that has a length."""

    @property
    def program(self) -> Program:
        """The statements, which have the texts."""
        ...

    @property
    def params(self) -> Values:
        """The values of all steps, one step after the other."""
        ...


def check_lengths(plan: Plan, encoded: Sent, max_bytes: int) -> None:
    """Reject a batch if a message of it is too long.

    :param max_bytes: the most bytes that the server reads in one message.
    :raises InvalidBatch: for the first step that has such a message.
    """
    program, params = encoded.program, encoded.params
    start = 0
    for index, (compiled, end) in enumerate(zip(program.steps, program.ends, strict=True)):
        own = params[start:end]
        text = len(compiled.sql.encode("utf-8", "surrogatepass")) + _PER_TYPE * len(own)
        what, length = max(("values", _length(own)), ("SQL", text), key=itemgetter(1))
        if length > max_bytes - REST:
            reason = (
                f"its {what} would be a message of {length:,} bytes, and this server "
                f"reads at most {max_bytes:,}; send it in parts"
            )
            raise invalid_step(plan, index, reason)
        start = end


def _length(values: Values) -> int:
    return sum(map(len, filter(None, values))) + PER_VALUE * len(values)
