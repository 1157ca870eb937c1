# SPDX-License-Identifier: MIT
"""The cases of a run: a workload under some conditions, and the sides that take turns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from benchmarks.delay_proxy import delay_proxy, round_trip
from benchmarks.interleave import WARM_UP, interleave
from benchmarks.measure import Contender, Result, Settings, contenders, measure, opened, title
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
from benchmarks.workers import CHARGES, contend, processes
from benchmarks.workloads.guards import GUARDS, guards
from benchmarks.workloads.projects import PLACES, PROJECT_CREATE, PROJECT_DELETE, failing
from benchmarks.workloads.rules import READS, inserts

BASELINE = Bare.name
"""The peer that the others are compared with: all that a library on psycopg needs, and no more."""

ALL: tuple[type[Peer], ...] = (
    *(Batchq, Bare, BareModels, Cte, Plpgsql, Queued, Pipeline, Transaction, Asyncpg, Core, Orm),
)
_DELETING: tuple[type[Peer], ...] = (Batchq, Bare, Pipeline, Transaction, Asyncpg)
_READING: tuple[type[Peer], ...] = (Batchq, Bare, BareModels, Pipeline, Transaction, Asyncpg, Core)
_INSERTING: tuple[type[Peer], ...] = (
    *(Batchq, Bare, Pipeline, Transaction, ExecuteMany, AsyncpgMany, CoreMany, Copy),
)

RTTS = (0.0005, 0.001, 0.005, 0.02, 0.08)
SUCCEEDING = f"{Batchq.name}, succeeding"
FAILING = f"{Batchq.name}, failing in the middle"

_STATEMENTS = 8
"""Of project_create: a turn of another workload has about as many statements as one of that."""
_COUNTED = 10
"""Statements of the largest batch whose messages are counted."""


@frozen
class Effort:
    """How long to measure: so many turns of each peer, of so many calls of project_create."""

    rounds: int
    calls: int


@frozen
class Case:
    """A workload under some conditions.

    Attributes:
        sides: the contenders, by name; of charges, the ways.
        statements: of one call.
        callers: how many work at the same time.
    """

    workload: str
    settings: Settings
    sides: Mapping[str, Any]
    statements: int = _STATEMENTS
    callers: int = 1

    @property
    def title(self) -> str:
        """Return the title of the result."""
        return title(self.workload, self.settings)

    def measure(self, conninfo: str, effort: Effort) -> Iterator[Result]:
        """Measure this case, and others that need the same connections."""
        calls = min(effort.calls, effort.calls * _STATEMENTS // self.statements)
        yield measure(
            conninfo,
            self.sides,
            workload=self.workload,
            settings=self.settings,
            rounds=max(4, min(effort.rounds, effort.rounds * 400 // self.statements)),
            calls=max(1, calls, 2 * self.callers),
            warm_up=max(1, min(WARM_UP, WARM_UP * _STATEMENTS // self.statements), self.callers),
            wires=self.statements <= _COUNTED and self.callers == 1,
        )


class Distance(Case):
    """project_create from further and further away, on the same connections."""

    PATIENCE = 0.02
    """Seconds of distance that a turn, and as many rounds, may add up to: from further away fewer
    are needed, because what is measured is then nearly all distance."""

    def measure(self, conninfo: str, effort: Effort) -> Iterator[Result]:
        """Measure at all distances."""
        most = {rtt: int(self.PATIENCE / rtt) for rtt in RTTS}
        turns = {
            rtt: (max(3, min(effort.rounds, own)), max(1, min(effort.calls // 4, own)))
            for rtt, own in most.items()
        }
        total = WARM_UP + sum(1 + rounds * calls for rounds, calls in turns.values())
        with (
            delay_proxy(conninfo) as link,
            opened(conninfo, self.sides, total, through=link.conninfo) as contest,
        ):
            ENVIRONMENT["delay proxy"] = (
                f"{round_trip(link.conninfo) * 1e6:.0f} us a round trip by itself, "
                f"beside {round_trip(conninfo) * 1e6:.0f} us directly"
            )
            interleave(contest.sides, rounds=0, calls=0)  # warm, while it is near
            first = WARM_UP
            for rtt, (rounds, calls) in turns.items():
                link.set_rtt(rtt)
                samples = interleave(
                    contest.sides, rounds=rounds, calls=calls, warm_up=1, first=first
                )
                first += 1 + rounds * calls
                yield Result(self.workload, {"rtt": rtt}, samples, {}, contest.different())


class Charges(Case):
    """Takes from one counter by some processes, near or far."""

    def measure(self, conninfo: str, effort: Effort) -> Iterator[Result]:
        """Measure with this number of workers."""
        rtt = float(self.settings.get("rtt", 0.0))
        with sandbox(conninfo) as place, delay_proxy(place.conninfo) as link:
            there = link.conninfo if rtt else place.conninfo
            with processes(there, self.callers) as workers:
                link.set_rtt(rtt)
                rounds = max(3, effort.rounds // 6)
                samples, miscounted = contend(place.conninfo, workers, rounds=rounds)
        yield Result(self.workload, self.settings, samples, {}, miscounted)


def _cases() -> Iterator[Case]:
    create = contenders(PROJECT_CREATE, ALL)
    yield Case("project_create", {}, create)
    yield Case("project_delete", {}, contenders(PROJECT_DELETE, _DELETING))
    yield Case("reads", {}, contenders(READS, _READING))
    for at in PLACES:
        succeeding = {SUCCEEDING: create[Batchq.name]}
        # A quarter of the calls.
        sides = contenders(failing(at), ALL) | succeeding
        yield Case("failing", {"at": at}, sides, statements=4 * _STATEMENTS)
    in_the_middle = contenders(failing("middle"), [Batchq])[Batchq.name]
    for rtt in RTTS:
        yield Distance("project_create", {"rtt": rtt}, create | {FAILING: in_the_middle})
    for size in (1, 2, 5, 10, 50, 100, 1_000, 10_000):
        sides = contenders(inserts(size), _INSERTING)
        yield Case("inserts", {"statements": size}, sides, statements=size)
    for size in (1, 8, 50):
        workloads = {form: guards(form, size) for form in GUARDS}
        sides = {form: Contender(own, Batchq(own).open) for form, own in workloads.items()}
        yield Case("guards", {"updates": size}, sides, statements=size)
    for distance in ({}, {"rtt": 0.001}):
        for number in (1, 4, 16, 64):
            settings = {"workers": number, **distance}
            yield Charges("charges", settings, CHARGES, callers=number)
    for number in (1, 4, 16):
        threads = (Batchq, Bare, Pipeline, Transaction)
        sides = {p.name: Contender(SERVED, in_threads(p(SERVED), number)) for p in threads}
        yield Case("throughput of threads", {"threads": number}, sides, callers=number)
    for number in (1, 16, 128):
        tasks = (Batchq(SERVED), Bare(SERVED), Transaction(SERVED), Asyncpg(SERVED))
        sides = {peer.name: Contender(SERVED, in_tasks(peer, number)) for peer in tasks}
        yield Case("throughput of tasks", {"tasks": number}, sides, callers=number)


CASES: tuple[Case, ...] = tuple(_cases())
