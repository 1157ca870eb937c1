# SPDX-License-Identifier: MIT
"""The cases of a run: a workload under some conditions, and the sides that take turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from attrs import frozen

from benchmarks import workers
from benchmarks.delay_proxy import delay_proxy, round_trip
from benchmarks.interleave import WARM_UP, interleave
from benchmarks.measure import Contender, Result, Settings, contenders, measure, opened
from benchmarks.peers import Peer
from benchmarks.peers.asyncpg import Asyncpg, AsyncpgMany
from benchmarks.peers.bare import Bare, BareModels
from benchmarks.peers.batchq import Batchq
from benchmarks.peers.one_statement import Cte, Plpgsql
from benchmarks.peers.psycopg3 import Copy, ExecuteMany, Pipeline, Queued, Transaction
from benchmarks.peers.sqlalchemy import Core, CoreMany, Orm
from benchmarks.pytest_adapter import ENVIRONMENT
from benchmarks.sandbox import sandbox
from benchmarks.throughput import SERVED, in_tasks, in_threads
from benchmarks.workers import CHARGES
from benchmarks.workloads.guards import GUARDS, guards
from benchmarks.workloads.projects import (
    PLACES,
    PROJECT_CREATE,
    PROJECT_DELETE,
    VPC_CREATE,
    failing,
)
from benchmarks.workloads.rules import READS, inserts

BASELINE = Bare.name
"""The peer that the others are compared with: all that a library on psycopg needs, and no more."""

ALL: tuple[type[Peer], ...] = (
    Batchq,
    Bare,
    BareModels,
    Cte,
    Plpgsql,
    Queued,
    Pipeline,
    Transaction,
    Asyncpg,
    Core,
    Orm,
)
_SENDING: tuple[type[Peer], ...] = (Batchq, Bare, Pipeline, Transaction, Asyncpg)
_READING: tuple[type[Peer], ...] = (Batchq, Bare, BareModels, Pipeline, Transaction, Asyncpg, Core)
_INSERTING: tuple[type[Peer], ...] = (
    Batchq,
    Bare,
    Pipeline,
    Transaction,
    ExecuteMany,
    AsyncpgMany,
    CoreMany,
    Copy,
)

RTTS = (0.0005, 0.001, 0.005, 0.02, 0.08)
SIZES = (1, 2, 5, 10, 50, 100, 1_000, 10_000)
WORKERS = (1, 4, 16, 64)
SUCCEEDING = f"{Batchq.name}, succeeding"
FAILING = f"{Batchq.name}, failing in the middle"


@frozen
class Effort:
    """How long to measure: so many turns of each peer, of so many calls."""

    rounds: int
    calls: int


Measure = Callable[[str, Effort], Iterator[Result]]


@frozen
class Case:
    """A workload under some conditions.

    Attributes:
        sides: their names.
        measure: measures this case, and others that need the same connections.
    """

    workload: str
    settings: Settings
    sides: tuple[str, ...]
    measure: Measure

    @property
    def title(self) -> str:
        """Return the title of the result."""
        return Result.title_of(self.workload, self.settings)


def _plain(
    workload: str,
    settings: Settings,
    sides: Mapping[str, Contender],
    *,
    turns: Callable[[Effort], tuple[int, int, int]] = lambda e: (e.rounds, e.calls, WARM_UP),
    wires: bool = True,
) -> Case:
    """Return a case of its own.

    :param turns: the rounds, the calls in a turn, and those for warming up.
    """

    def measured(conninfo: str, effort: Effort) -> Iterator[Result]:
        rounds, calls, warm_up = turns(effort)
        yield measure(
            conninfo,
            sides,
            workload=workload,
            settings=settings,
            rounds=rounds,
            calls=calls,
            warm_up=warm_up,
            wires=wires,
        )

    return Case(workload, settings, tuple(sides), measured)


# -- one batch after the other ---------------------------------------------------------------------


def _failing() -> Iterator[Case]:
    succeeding = Contender(PROJECT_CREATE, Batchq(PROJECT_CREATE).open)
    for at in PLACES:
        sides = contenders(failing(at), ALL) | {SUCCEEDING: succeeding}
        yield _plain(
            "failing",
            {"at": at},
            sides,
            turns=lambda e: (e.rounds, max(1, e.calls // 4), WARM_UP),
            wires=False,
        )


_TURN = 200
"""Statements that a turn has at least, so that small batches are seen above the noise."""
_ROUND = 400
"""Statements of a batch from which on there are fewer rounds, but never fewer than _LEAST."""
_LEAST = 4
_COUNTED = 10
"""The largest batch whose messages are counted."""


def _inserts() -> Iterator[Case]:
    def turns(size: int, effort: Effort) -> tuple[int, int, int]:
        rounds = min(effort.rounds, max(_LEAST, effort.rounds * _ROUND // size))
        calls = max(1, min(effort.calls, _TURN // size))
        return rounds, calls, max(1, min(WARM_UP, _TURN // size))

    for size in SIZES:
        sides = contenders(inserts(size), _INSERTING)
        yield _plain(
            "inserts",
            {"statements": size},
            sides,
            turns=partial(turns, size),
            wires=size <= _COUNTED,
        )


def _guards() -> Iterator[Case]:
    def turns(size: int, effort: Effort) -> tuple[int, int, int]:
        return effort.rounds, max(1, 10 * effort.calls // size), max(1, _TURN // size)

    for size in (1, 8, 50):
        sides = {}
        for form in GUARDS:
            workload = guards(form, size)
            sides[form] = Contender(workload, Batchq(workload).open)
        yield _plain("guards", {"updates": size}, sides, turns=partial(turns, size), wires=False)


# -- from a distance -------------------------------------------------------------------------------

_PATIENCE = 0.02
"""Seconds of distance that a turn of calls, and as many rounds, may add up to: from further away
fewer are needed, because what is measured is then nearly all distance."""


def _measure_distance(conninfo: str, effort: Effort) -> Iterator[Result]:
    turns = {
        rtt: (
            max(3, min(effort.rounds, int(_PATIENCE / rtt))),
            max(1, min(effort.calls // 4, int(_PATIENCE / rtt))),
        )
        for rtt in RTTS
    }
    total = WARM_UP + sum(1 + rounds * calls for rounds, calls in turns.values())
    with (
        delay_proxy(conninfo) as link,
        opened(conninfo, _far(), total, through=link.conninfo) as contest,
    ):
        ENVIRONMENT["delay proxy"] = (
            f"{round_trip(link.conninfo) * 1e6:.0f} us a round trip by itself, "
            f"beside {round_trip(conninfo) * 1e6:.0f} us directly"
        )
        interleave(contest.sides, rounds=0, calls=0)  # warm, while it is near
        first = WARM_UP
        for rtt, (rounds, calls) in turns.items():
            link.set_rtt(rtt)
            samples = interleave(contest.sides, rounds=rounds, calls=calls, warm_up=1, first=first)
            first += 1 + rounds * calls
            yield Result(PROJECT_CREATE.name, {"rtt": rtt}, samples, {}, contest.different())


def _far() -> dict[str, Contender]:
    workload = failing("middle")
    return contenders(PROJECT_CREATE, ALL) | {FAILING: Contender(workload, Batchq(workload).open)}


def _distance() -> Iterator[Case]:
    for rtt in RTTS:
        yield Case(PROJECT_CREATE.name, {"rtt": rtt}, tuple(_far()), _measure_distance)


# -- many at once ----------------------------------------------------------------------------------


def _measure_charges(rtt: float, conninfo: str, effort: Effort) -> Iterator[Result]:
    with sandbox(conninfo) as place, delay_proxy(place.conninfo) as link:
        there = link.conninfo if rtt else place.conninfo
        with workers.processes(there, max(WORKERS)) as crew:
            link.set_rtt(rtt)
            for number in WORKERS:
                rounds = max(3, effort.rounds // 6)
                found = workers.contend(place.conninfo, crew, number, rounds=rounds)
                settings = _charge_settings(number, rtt)
                yield Result("charges", settings, found.times, {}, found.miscounted)
                yield Result("charges, slowest in 100", settings, found.slowest)


def _charge_settings(number: int, rtt: float) -> Settings:
    return {"workers": number, "rtt": rtt} if rtt else {"workers": number}


def _charges() -> Iterator[Case]:
    for rtt in (0.0, 0.001):
        for number in WORKERS:
            for workload in ("charges", "charges, slowest in 100"):
                settings = _charge_settings(number, rtt)
                yield Case(workload, settings, tuple(CHARGES), partial(_measure_charges, rtt))


def _throughput() -> Iterator[Case]:
    def turns(number: int, effort: Effort) -> tuple[int, int, int]:
        return max(4, effort.rounds // 2), max(2 * effort.calls, 2 * number), 100

    for number in (1, 4, 16):
        threads = (Batchq, Bare, Pipeline, Transaction)
        sides = {peer.name: Contender(SERVED, in_threads(peer(SERVED), number)) for peer in threads}
        yield _plain(
            "throughput of threads",
            {"threads": number},
            sides,
            turns=partial(turns, number),
            wires=False,
        )
    for number in (1, 16, 128):
        tasks = (Batchq(SERVED), Bare(SERVED), Transaction(SERVED), Asyncpg(SERVED))
        sides = {peer.name: Contender(SERVED, in_tasks(peer, number)) for peer in tasks}
        yield _plain(
            "throughput of tasks",
            {"tasks": number},
            sides,
            turns=partial(turns, number),
            wires=False,
        )


CASES: tuple[Case, ...] = (
    _plain(PROJECT_CREATE.name, {}, contenders(PROJECT_CREATE, ALL)),
    _plain(VPC_CREATE.name, {}, contenders(VPC_CREATE, _SENDING)),
    _plain(PROJECT_DELETE.name, {}, contenders(PROJECT_DELETE, _SENDING)),
    _plain(READS.name, {}, contenders(READS, _READING)),
    *_failing(),
    *_distance(),
    *_inserts(),
    *_guards(),
    *_charges(),
    *_throughput(),
)
