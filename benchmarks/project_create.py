# SPDX-License-Identifier: MIT
"""What batchq costs on top of the wire: the example's project_create, through batchq.run (building
and composing included) beside the same commands through a bare libpq pipeline.

Both sides run in one process against one server on a unix socket, in turns, and what is printed are
medians of the ratios of one round each: whatever else the machine does hits both.

    python -m benchmarks.project_create [rounds] [batches a turn]
"""

from __future__ import annotations

import gc
import platform
import sys
from collections import defaultdict
from collections.abc import Callable
from statistics import median, quantiles
from time import perf_counter, process_time
from typing import Any
from uuid import UUID

import psycopg
from attrs import frozen

from batchq import run
from batchq.testing import proxy, server
from benchmarks.bare import BarePipeline, project_create_values
from benchmarks.stages import Times, timed_stages
from benchmarks.typed import TypedPipeline
from examples.datastore.models import NewProject, NewSilo
from examples.datastore.project import project_create
from examples.datastore.schema import TABLES, create_tables
from examples.datastore.silo import silo_create

ROUNDS, BATCHES = 40, 100
WARM_UP = 20  # the tables are new each turn: the server plans again, and then five times more
WALL_TARGET, CPU_TARGET = 1.15, 1.5

Once = Callable[[int], object]
"""Creates the project of that number."""


@frozen
class Turn:
    """What one side took for one batch, in microseconds, and what it left behind."""

    wall: float
    cpu: float
    left: list[list[tuple[Any, ...]]]


@frozen
class Bench:
    """The two sides on a connection each, so that what is prepared is each one's own."""

    admin: psycopg.Connection[Any]
    batchq: psycopg.Connection[Any]
    bare: BarePipeline
    silo: NewSilo

    def with_batchq(self, number: int) -> object:
        """Create a project as the service does: build, compose, send, decode into models."""
        new = NewProject(silo_id=self.silo.id, name=f"project-{number}")
        return run(self.batchq, project_create(new))

    def by_hand(self, number: int) -> object:
        """Create a project by the rival."""
        return self.bare.run(project_create_values(self.silo.id, f"project-{number}"))

    def by_hand_with_models(self, number: int) -> object:
        """Create a project by the rival, from the models to the models that batchq has."""
        new = NewProject(silo_id=self.silo.id, name=f"project-{number}")
        return TypedPipeline(self.bare).project_create(new)

    def turn(self, once: Once, batches: int) -> Turn:
        """Time so many batches on empty tables."""
        self.empty()
        for number in range(WARM_UP):
            once(-number - 1)
        gc.collect()
        wall, cpu = perf_counter(), process_time()
        for number in range(batches):
            once(number)
        cpu, wall = process_time() - cpu, perf_counter() - wall
        return Turn(wall / batches * 1e6, cpu / batches * 1e6, self.left_behind())

    def empty(self) -> None:
        """Empty all tables and create the silo."""
        self.admin.execute(f"TRUNCATE {', '.join(TABLES)}".encode())
        run(self.admin, silo_create(self.silo, projects=1_000_000))

    def left_behind(self) -> list[list[tuple[Any, ...]]]:
        """All rows of all tables, without what is new each time: ids and times."""
        return [
            sorted(
                tuple(value for value in row if not isinstance(value, UUID) and _lasts(value))
                for row in self.admin.execute(f"TABLE {table}".encode())
            )
            for table in TABLES
        ]


def _lasts(value: object) -> bool:
    return not hasattr(value, "tzinfo") and value is not None


def main(rounds: int = ROUNDS, batches: int = BATCHES) -> None:
    """Measure and print."""
    with (
        server(settings={"synchronous_commit": "off"}) as postgres,
        psycopg.connect(postgres.conninfo(), autocommit=True) as admin,
        psycopg.connect(postgres.conninfo(), autocommit=True) as one,
        psycopg.connect(postgres.conninfo(), autocommit=True) as two,
    ):
        create_tables(admin)
        silo = NewSilo(name="benchmark")
        batch = project_create(NewProject(silo_id=silo.id, name="any"))
        bare = BarePipeline(two, [step.sql for step in batch.steps()])
        bare.prepare(project_create_values(silo.id, "any"))
        bench = Bench(admin, one, bare, silo)
        _environment(postgres.version)
        _wire(bench, postgres.conninfo())
        _compare(bench, rounds, batches)
        _stages(bench, batches * 5)


def _environment(server_version: int) -> None:
    print(
        f"Python {platform.python_version()}, psycopg {psycopg.__version__} "
        f"({psycopg.pq.__impl__}, libpq {psycopg.pq.version()}), PostgreSQL {server_version}, "
        f"unix socket, synchronous_commit off, {platform.machine()} {platform.system()}"
    )


def _wire(bench: Bench, conninfo: str) -> None:
    """Count what goes over the wire for one batch, once everything is prepared."""
    with (
        proxy(conninfo) as link,
        psycopg.connect(link.conninfo(), autocommit=True) as through,
    ):
        bench.empty()
        new = [NewProject(silo_id=bench.silo.id, name=f"wire-{i}") for i in range(20)]
        for one in new[1:]:
            run(through, project_create(one))
        with link.record() as recording:
            run(through, project_create(new[0]))
    commands = recording.client.count("E")
    print(
        f"per batch: {recording.flights} flight, {commands} commands, {len(recording.client)} "
        f"messages and {recording.bytes_sent} bytes sent, {len(recording.server)} messages and "
        f"{recording.bytes_received} bytes received"
    )


def _compare(bench: Bench, rounds: int, batches: int) -> None:
    """Let the sides take turns, each of them first in every third round."""
    sides: list[tuple[str, Once]] = [
        ("batchq", bench.with_batchq),
        ("bare", bench.by_hand),
        ("bare, with models", bench.by_hand_with_models),
    ]
    turns: dict[str, list[Turn]] = {name: [] for name, _ in sides}
    for number in range(rounds):
        first = number % len(sides)
        for name, once in [*sides[first:], *sides[:first]]:
            turns[name].append(bench.turn(once, batches))
        left = [mine[-1].left for mine in turns.values()]
        if any(rows != left[0] for rows in left):
            sys.exit("the sides left different rows behind")
    print(f"{rounds} rounds of {batches} batches a side, in turns; all left the same rows behind")
    print("                                      batchq / it   (middle half)")
    for name, theirs in turns.items():
        wall, cpu = median(t.wall for t in theirs), median(t.cpu for t in theirs)
        print(f"    {name:18} wall {wall:5.0f} us {_ratios(turns['batchq'], theirs, 'wall')}")
        print(f"    {'':18} CPU  {cpu:5.0f} us {_ratios(turns['batchq'], theirs, 'cpu')}")
    print(f"    aim, beside bare: wall {WALL_TARGET}, CPU {CPU_TARGET}")


def _ratios(ours: list[Turn], theirs: list[Turn], figure: str) -> str:
    """Compare the turns of one round with each other, so that the machine's moods cancel out."""
    if ours is theirs:
        return ""
    ratios = [getattr(a, figure) / getattr(b, figure) for a, b in zip(ours, theirs, strict=True)]
    low, _, high = quantiles(ratios, n=4)
    return f"{median(ratios):10.2f}   ({low:.2f} - {high:.2f})"


def _stages(bench: Bench, batches: int) -> None:
    """Time each stage of both sides; the clocks themselves add a little."""
    theirs: Times = defaultdict(float)
    last = perf_counter()

    def stage(name: str) -> None:
        nonlocal last
        now = perf_counter()
        theirs[name] += now - last
        last = now

    bench.empty()
    with timed_stages() as ours:
        for number in range(batches):
            start = perf_counter()
            batch = project_create(NewProject(silo_id=bench.silo.id, name=f"project-{number}"))
            built = perf_counter()
            run(bench.batchq, batch)
            ours["build"] += built - start
            ours["all"] += perf_counter() - start
    bench.empty()
    for number in range(batches):
        last = start = perf_counter()
        values = project_create_values(bench.silo.id, f"project-{number}")
        stage("build")
        bench.bare.run(values, stage)
        theirs["all"] += last - start
    ours["the rest"] = 2 * ours["all"] - sum(ours.values())
    print("where it goes, in us a batch         batchq      bare")
    for name in [*"build plan encode load wire attribute decode".split(), "the rest", "all"]:
        bare = f"{theirs[name] / batches * 1e6:10.0f}" if name in theirs else " " * 9 + "-"
        print(f"    {name:13}{ours[name] / batches * 1e6:21.0f}{bare}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
