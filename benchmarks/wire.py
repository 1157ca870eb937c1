# SPDX-License-Identifier: MIT
"""Count what one call sends and receives: figures that do not depend on the machine."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median_low

from attrs import astuple, evolve, frozen

from batchq.testing import Proxy, Recording

WARM, _TIMES = 6, 5
"""Calls before those that are counted: psycopg has prepared its statements by then. Several are
counted, because a time is sent as text, which is shorter if it ends in zeros."""
CALLS = WARM + _TIMES


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


def count(link: Proxy, work: Callable[[range], object]) -> Wire:
    """Count one call of a side that is connected through a proxy."""
    work(range(WARM))
    counted: list[Wire] = []
    for number in range(WARM, CALLS):
        with link.record() as recording:
            work(range(number, number + 1))
        counted.append(Wire.of(recording))
    middle = Wire(*map(median_low, zip(*map(astuple, counted), strict=True)))
    # A recording's count is an upper bound: an answer may overtake what is still being sent.
    return evolve(middle, flights=min(wire.flights for wire in counted))
