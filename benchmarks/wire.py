# SPDX-License-Identifier: MIT
"""What goes over the wire for one call: the figures that do not depend on the machine."""

from __future__ import annotations

from statistics import median_low

from attrs import asdict, evolve, frozen

from batchq.testing import Proxy, Recording
from benchmarks.measure import WARM_UP, Side

_TIMES = 5
"""Calls that are counted: a time is sent as text, and is shorter where it ends in zeros."""


@frozen
class Wire:
    """What one call costs on the wire.

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
        """All of a recording."""
        return cls(
            recording.flights,
            len(recording.client),
            len(recording.server),
            recording.bytes_sent,
            recording.bytes_received,
        )


def count(link: Proxy, work: Side, first: int = 100, *, warm_up: int = WARM_UP) -> Wire:
    """Count what a side that is connected through a proxy sends for one call, when warm.

    :param first: the number of the first call.
    """
    work(range(first, first + warm_up))
    seen = [_one(link, work, first + warm_up + time * warm_up) for time in range(_TIMES)]
    middle = {name: median_low(asdict(one)[name] for one in seen) for name in asdict(seen[0])}
    # A recording's count is an upper bound: an answer may overtake what is still being sent.
    return evolve(Wire(**middle), flights=min(one.flights for one in seen))


def _one(link: Proxy, work: Side, number: int) -> Wire:
    with link.record() as recording:
        own = work(range(number, number + 1))
    if own is None:
        return Wire.of(recording)
    # A process of its own connects and prepares each time, so the last of some is looked at.
    with link.record() as recording:
        work(range(number + 1, number + 1 + _TIMES))
    return Wire.of(_last_answered(recording))


def _last_answered(recording: Recording) -> Recording:
    """What was sent behind the last answer but one, up to the last one."""
    messages = recording.messages
    ready = [place for place, message in enumerate(messages) if message.kind == "Z"]
    last = Recording()
    for message in messages[ready[-2] + 1 : ready[-1] + 1]:
        last.add(message)
    return last
