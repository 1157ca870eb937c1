# SPDX-License-Identifier: MIT
"""One counter that 1, 4, 16 and 64 workers want to take from at once, near and 1 ms away.

A second table tells how long the slowest one in a hundred has waited: the first one tells how many
are served, and not how evenly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from uuid import UUID, uuid4

import psycopg
import pytest
from attrs import frozen

from benchmarks.conftest import Effort
from benchmarks.crew import Crew, crew, interleaved
from benchmarks.distance import distance
from benchmarks.measure import Samples
from benchmarks.replay import replay
from benchmarks.results import Result, Results, Settings
from benchmarks.scene import PLENTY, scene
from benchmarks.workloads.charges import (
    CHARGES,
    CHARGING,
    create_counter,
    create_limits,
    taken,
)

WORKERS = (1, 4, 16, 64)
RTTS = (0.0, 0.001)
"""Seconds; 0 is the server's own socket, with nobody in between."""

SLOWEST = "charges, slowest in 100"

_SECONDS = 0.12
"""Of a turn."""
_ROOM = 50


@frozen
class Measured:
    """What was seen.

    Attributes:
        found: by workers and distance.
        miscounted: where a counter says something else than the workers, what both say.
    """

    found: dict[tuple[int, float], Result]
    miscounted: dict[str, tuple[int, int]]


@pytest.fixture(scope="module")
def measured(conninfo: str, effort: Effort, results: Results) -> Measured:
    """The ways in turns, for each number of workers at each distance."""
    seen = Measured({}, {})
    rounds = max(3, effort.rounds // 6)
    with _counters(conninfo) as place:
        for rtt in RTTS:
            with _there(place, rtt) as workers:
                for number in WORKERS:
                    samples, slowest, counted = _turns(place, workers, number, rounds)
                    settings: Settings = {"workers": number} | ({"rtt": rtt} if rtt else {})
                    seen.found[number, rtt] = Result(CHARGES, settings, samples)
                    seen.miscounted.update(counted)
                    results.measured.append(seen.found[number, rtt])
                    results.measured.append(Result(SLOWEST, settings, slowest))
    return seen


@contextmanager
def _counters(conninfo: str) -> Iterator[str]:
    with scene(conninfo, "batchq_bench_charges") as place:
        with psycopg.connect(place.conninfo, autocommit=True) as conn:
            create_limits(conn)
        yield place.conninfo


@contextmanager
def _there(conninfo: str, rtt: float) -> Iterator[Crew]:
    """Workers that are so far away."""
    with ExitStack() as stack:
        if rtt:
            link = stack.enter_context(distance(conninfo))
            conninfo = link.conninfo
        workers = stack.enter_context(crew(conninfo, max(WORKERS)))
        if rtt:
            link.set(rtt)
        yield workers


def _turns(
    conninfo: str, workers: Crew, number: int, rounds: int
) -> tuple[Samples, Samples, dict[str, tuple[int, int]]]:
    with psycopg.connect(conninfo, autocommit=True) as conn:
        silos = {name: _silos(conn, 1 if way.shared else number) for name, way in CHARGING.items()}
        samples, slowest, took = interleaved(
            workers,
            {name: (own * number)[:number] for name, own in silos.items()},
            rounds=rounds,
            seconds=_SECONDS,
        )
        said = {name: sum(taken(conn, silo) for silo in own) for name, own in silos.items()}
    wrong = {
        f"{name}, {number}": (said[name], took[name]) for name in said if said[name] != took[name]
    }
    return samples, slowest, wrong


def _silos(conn: psycopg.Connection[tuple[object, ...]], number: int) -> list[UUID]:
    silos = [uuid4() for _ in range(number)]
    for silo in silos:
        create_counter(conn, silo, PLENTY)
    return silos


@pytest.mark.parametrize("rtt", RTTS, ids=lambda rtt: f"{rtt * 1000:g}ms")
@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("peer", CHARGING)
def test_charges(
    peer: str, workers: int, rtt: float, measured: Measured, request: pytest.FixtureRequest
) -> None:
    replay(request, measured.found[workers, rtt], peer)


def test_every_counter_says_what_the_workers_took(measured: Measured) -> None:
    assert measured.miscounted == {}


def test_no_way_takes_more_than_there_is(conninfo: str) -> None:
    with (
        _counters(conninfo) as place,
        psycopg.connect(place, autocommit=True) as conn,
        crew(place, 16) as workers,
    ):
        for name in CHARGING:
            silo = uuid4()
            create_counter(conn, silo, _ROOM)
            took = refused = 0
            while not refused:
                turn = workers.work(name, [silo] * 16, _SECONDS)
                took, refused = took + turn.taken, turn.refused
            assert (name, took, taken(conn, silo)) == (name, _ROOM, _ROOM)
