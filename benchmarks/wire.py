# SPDX-License-Identifier: MIT
"""Count what one call sends and receives: figures that do not depend on the machine."""

from __future__ import annotations

from statistics import median_low

from attrs import asdict, evolve, frozen

from batchq.testing import Proxy, Recording
from benchmarks.interleave import Side

_TIMES = 5
"""Calls that are counted: a time is sent as text, and is shorter if it ends in zeros."""


@frozen
class Wire:
    """The cost of one call on the wire.

    Attributes:
        flights: how often the client sends and then waits: round trips.
        messages_sent, messages_received: of the protocol.
        bytes_sent, bytes_received: the same, in bytes.
    """

    flights: int
    messages_sent: int
    messages_received: int
    bytes_sent: int
    bytes_received: int

    @classmethod
    def of(cls, recording: Recording) -> Wire:
        """Count all of a recording."""
        return cls(
            recording.flights,
            len(recording.client),
            len(recording.server),
            recording.bytes_sent,
            recording.bytes_received,
        )


def count(link: Proxy, side: Side, *, warm_up: int) -> Wire:
    """Count one call of a side that is connected through a proxy, after so many others."""
    side(range(warm_up))
    counted: list[Wire] = []
    for number in range(warm_up, warm_up + _TIMES):
        with link.record() as recording:
            side(range(number, number + 1))
        counted.append(Wire.of(recording))
    figures = [asdict(wire) for wire in counted]
    middle = {name: median_low(own[name] for own in figures) for name in figures[0]}
    # A recording's count is an upper bound: an answer may overtake what is still being sent.
    return evolve(Wire(**middle), flights=min(wire.flights for wire in counted))


CALLS = 30 + _TIMES
"""Inputs that are enough for :func:`count` after any warm-up up to 30 calls."""
