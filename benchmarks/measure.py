# SPDX-License-Identifier: MIT
"""Measure a case: a workload under some conditions, with peers that take turns.

Beside the times, the messages of one call are counted, and the rows that the peers leave are
compared: peers that do not do the same work are not compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from attrs import frozen

from batchq.testing import proxy
from benchmarks.delay_proxy import delay_proxy
from benchmarks.interleave import WARM_UP, interleave, timed
from benchmarks.peers import Driver, Peer
from benchmarks.results import Conditions, Result
from benchmarks.sandbox import Sandbox, sandbox
from benchmarks.wire import CALLS, Wire, count

_STATEMENTS = 8
"""Of project_create: a turn of another workload has about as many statements as one of that."""
_CALLS, _ROUNDS, _FEWEST_ROUNDS = 40, 16, 4
_SECOND = 80_000
"""A round trip's wait counts as so many statements a second, so that a turn at a distance does not
take much longer."""
_COUNTED = 10
"""Statements of the largest batch whose messages are counted."""


@frozen
class Side:
    """A peer that is connected, in a sandbox of its own.

    Attributes:
        inputs: of all calls that it is going to make.
    """

    peer: Peer
    place: Sandbox
    drive: Driver
    inputs: Sequence[Any]

    def work(self, numbers: range) -> None:
        """Make the calls of these numbers."""
        if numbers.stop > len(self.inputs):
            raise IndexError(f"call {numbers.stop - 1} of {len(self.inputs)}")
        self.drive(self.inputs[numbers.start : numbers.stop])


@contextmanager
def opened(
    conninfo: str, peers: Sequence[Peer], calls: int, *, through: str | None = None
) -> Iterator[list[Side]]:
    """Connect all peers, each to a sandbox of its own.

    :param calls: the number of calls that each one is going to make.
    :param through: another way to the server, which the peers take.
    """
    with ExitStack() as stack:
        sides: list[Side] = []
        for peer in peers:
            place = stack.enter_context(sandbox(conninfo))
            inputs = peer.workload.inputs(place, calls)
            drive = stack.enter_context(peer.open(place.through(through or conninfo)))
            sides.append(Side(peer, place, drive, inputs))
        yield sides


def differing(sides: Sequence[Side]) -> tuple[str, ...]:
    """Return the peers that left other rows than the first one that should leave the same."""
    digests: dict[tuple[str, str | None], object] = {}
    found: list[str] = []
    for side in sides:
        workload = side.peer.workload
        digest = workload.digest(side.place.conninfo)
        if digests.setdefault((workload.name, workload.failure), digest) != digest:
            found.append(side.peer.name)
    return tuple(found)


@frozen(eq=False)
class Case(Conditions):
    """A workload under some conditions.

    Attributes:
        statements: of one call.
        callers: how many work at the same time.
    """

    peers: Sequence[Peer]
    statements: int = _STATEMENTS
    callers: int = 1

    def measure(self, conninfo: str, *, times: int = 1) -> Result:
        """Measure all peers in turns: so many times as many rounds as usual, for less noise."""
        rtt = float(self.settings.get("rtt", 0.0))
        size = self.statements + int(rtt * _SECOND)
        calls = max(1, _CALLS * _STATEMENTS // size, 2 * self.callers)
        usual = _CALLS * _STATEMENTS * _ROUNDS // (calls * size)
        rounds = times * max(_FEWEST_ROUNDS, min(_ROUNDS, usual))
        warm_up = max(1, min(WARM_UP, WARM_UP * _STATEMENTS // self.statements), self.callers)
        with ExitStack() as stack:
            link = stack.enter_context(delay_proxy(conninfo)) if rtt else None
            way = link.conninfo if link else conninfo
            total = warm_up + rounds * calls
            sides = stack.enter_context(opened(conninfo, self.peers, total, through=way))
            for side in sides:
                side.work(range(warm_up))
            if link:
                link.set_rtt(rtt)
            turns = {side.peer.name: partial(timed, side.work) for side in sides}
            samples = interleave(turns, rounds=rounds, calls=calls, first=warm_up)
            different = differing(sides)
        countable = self.statements <= _COUNTED and self.callers == 1 and not rtt
        wires = count_all(conninfo, self.peers) if countable else {}
        return Result(self.workload, self.settings, samples, wires, different)


def count_all(conninfo: str, peers: Sequence[Peer]) -> dict[str, Wire]:
    """Count what each peer sends for one call."""
    with (
        proxy(conninfo) as link,
        opened(conninfo, peers, CALLS, through=link.conninfo()) as sides,
    ):
        return {side.peer.name: count(link, side.work) for side in sides}
