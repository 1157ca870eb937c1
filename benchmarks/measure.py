# SPDX-License-Identifier: MIT
"""Measure one workload with all its peers: in turns, each in a sandbox of its own.

Beside the times it counts what one call sends, and compares the rows that the peers leave:
peers that do not do the same work are not compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from attrs import field, frozen

from batchq.testing import proxy
from benchmarks.interleave import WARM_UP, Samples, Side, interleave
from benchmarks.peers import Driver, Peer
from benchmarks.sandbox import Sandbox, sandbox
from benchmarks.wire import CALLS, Wire, count
from benchmarks.workloads import Workload

Settings = Mapping[str, float | str]
"""The conditions of a measurement: ``{"rtt": 0.001}`` in seconds, ``{"at": "first"}``."""

_WARM_WIRE = 6
"""Calls before those whose messages are counted: psycopg has prepared its statements by then."""


@frozen
class Result:
    """One workload, measured with all its peers under the same conditions.

    Attributes:
        wires: what each peer sends for one call; without the peers that were not counted.
        different: peers that left other rows than the first one.
    """

    workload: str
    settings: Settings
    samples: Samples
    wires: Mapping[str, Wire] = field(factory=dict)
    different: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Return the title."""
        return title(self.workload, self.settings)


def title(workload: str, settings: Settings) -> str:
    """Return a title such as ``project_create, RTT 1 ms``."""
    texts = {name: f"{name} {value}" for name, value in settings.items()}
    if "rtt" in settings:
        texts["rtt"] = f"RTT {float(settings['rtt']) * 1000:g} ms"
    return ", ".join([workload, *texts.values()])


@frozen
class Contender:
    """A workload, and a way to do it."""

    workload: Workload[Any]
    open: Callable[[str], AbstractContextManager[Driver]]


def contenders(workload: Workload[Any], peers: Iterable[type[Peer]]) -> dict[str, Contender]:
    """Return all peers with the same workload, by their names."""
    return {peer.name: Contender(workload, peer(workload).open) for peer in peers}


@frozen
class Open:
    """Contenders that are connected.

    Attributes:
        sides: what the interleaver calls.
        sandboxes: where each one works.
    """

    contenders: Mapping[str, Contender]
    sides: Mapping[str, Side]
    sandboxes: Mapping[str, Sandbox]

    def different(self) -> tuple[str, ...]:
        """Return those that left other rows than the first one with the same workload."""
        digests: dict[tuple[str, str | None], object] = {}
        found: list[str] = []
        for name, contender in self.contenders.items():
            workload = contender.workload
            digest = workload.digest(self.sandboxes[name].conninfo)
            if digests.setdefault((workload.name, workload.failure), digest) != digest:
                found.append(name)
        return tuple(found)


@contextmanager
def opened(
    conninfo: str, all_of_them: Mapping[str, Contender], calls: int, *, through: str | None = None
) -> Iterator[Open]:
    """Connect all contenders, each to a sandbox of its own.

    :param calls: the number of calls that each one is going to make.
    :param through: another way to the server, which the peers take.
    """
    with ExitStack() as stack:
        sides: dict[str, Side] = {}
        sandboxes: dict[str, Sandbox] = {}
        for name, contender in all_of_them.items():
            place = stack.enter_context(sandbox(conninfo))
            inputs = contender.workload.inputs(place, calls)
            far = place.through(through or conninfo)
            driver = stack.enter_context(contender.open(far.conninfo))
            sides[name] = _side(driver, inputs)
            sandboxes[name] = place
        yield Open(all_of_them, sides, sandboxes)


def _side(driver: Driver, inputs: Sequence[Any]) -> Side:
    def side(numbers: range) -> None:
        if numbers.stop > len(inputs):
            raise IndexError(f"call {numbers.stop - 1} of {len(inputs)}")
        driver(inputs[numbers.start : numbers.stop])

    return side


def measure(
    conninfo: str,
    all_of_them: Mapping[str, Contender],
    *,
    workload: str,
    settings: Settings,
    rounds: int,
    calls: int,
    warm_up: int = WARM_UP,
    wires: bool = True,
) -> Result:
    """Measure all contenders in turns."""
    with opened(conninfo, all_of_them, warm_up + rounds * calls) as contest:
        samples = interleave(contest.sides, rounds=rounds, calls=calls, warm_up=warm_up)
        different = contest.different()
    counted = count_all(conninfo, all_of_them) if wires else {}
    return Result(workload, settings, samples, counted, different)


def count_all(conninfo: str, all_of_them: Mapping[str, Contender]) -> dict[str, Wire]:
    """Count what each contender sends for one call."""
    with (
        proxy(conninfo) as link,
        opened(conninfo, all_of_them, CALLS, through=link.conninfo()) as contest,
    ):
        return {name: count(link, side, warm_up=_WARM_WIRE) for name, side in contest.sides.items()}
