# SPDX-License-Identifier: MIT
"""Workers that all want the same at the same time: processes, each with a connection of its own.

Processes and not threads. Threads of one process wait for each other's Python as well: a thread
that holds a row's lock would keep it until it is its turn to run, which is longer the more threads
there are, and hits only the ways that need Python between lock and COMMIT. In a service, those who
want the same row are mostly in other processes.

They are told by the clock, which is the same for all processes of a machine, when to begin and when
to stop; a worker counts what it has finished by then.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from multiprocessing.connection import Connection as Pipe
from statistics import quantiles
from time import perf_counter, process_time, sleep
from typing import Any
from uuid import UUID

import psycopg
from attrs import frozen

from benchmarks.measure import Cost, Samples
from benchmarks.workloads.charges import CHARGING, FULL, Take

_NOTICE = 0.02
"""Seconds from telling the workers to their beginning, so that the last one has heard of it."""


@frozen
class Shift:
    """What a worker is told: by which way to take from which counter, from when to when."""

    way: str
    silo: UUID
    begin: float
    end: float


@frozen
class Done:
    """What a worker has done in a shift.

    Attributes:
        taken: all it took, the last one included, which may have come too late.
        finished: those in time.
        refused: how often there was no room.
        cpu: seconds.
        waits: seconds that each one took that was in time.
    """

    taken: int
    finished: int
    refused: int
    cpu: float
    waits: Sequence[float]


@frozen
class Turn:
    """What all of them have done in a shift."""

    seconds: float
    done: Sequence[Done]

    @property
    def taken(self) -> int:
        """All that was taken."""
        return sum(one.taken for one in self.done)

    @property
    def refused(self) -> int:
        """How often there was no room."""
        return sum(one.refused for one in self.done)

    @property
    def cost(self) -> Cost:
        """Of one: the time from one to the next, whoever took it, and the CPU's for it."""
        finished = sum(one.finished for one in self.done) or 1
        cpu = sum(one.cpu for one in self.done) / (self.taken + self.refused or 1)
        return Cost(self.seconds / finished, cpu)

    @property
    def slowest(self) -> Cost:
        """How long the slowest one in a hundred has taken."""
        waits = [wait for one in self.done for wait in one.waits]
        if len(waits) < 2:  # noqa: PLR2004  quantiles() needs two
            return Cost(self.seconds, None)
        return Cost(quantiles(waits, n=100, method="inclusive")[-1], None)


@frozen
class Crew:
    """Workers that are connected and wait to be told."""

    _pipes: Sequence[Pipe[Shift | None, Done]]

    def work(self, way: str, silos: Sequence[UUID], seconds: float) -> Turn:
        """Let as many workers as there are silos work for so long, each on its silo."""
        begin = perf_counter() + _NOTICE
        pipes = self._pipes[: len(silos)]
        for pipe, silo in zip(pipes, silos, strict=True):
            pipe.send(Shift(way, silo, begin, begin + seconds))
        return Turn(seconds, [pipe.recv() for pipe in pipes])


@contextmanager
def crew(conninfo: str, workers: int) -> Iterator[Crew]:
    """Start so many workers."""
    # Not a copy of this process, which has threads and connections of its own.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ExitStack() as stack:
        pipes: list[Pipe[Shift | None, Any]] = []
        for _ in range(workers):
            near, far = context.Pipe()
            process = context.Process(target=_worker, args=(far, conninfo), daemon=True)
            process.start()
            stack.callback(process.join)
            far.close()
            pipes.append(stack.enter_context(closing(near)))
        for pipe in pipes:
            pipe.recv()  # it is connected
        yield Crew(pipes)
        for pipe in pipes:
            pipe.send(None)


def interleaved(
    crew: Crew, silos: Mapping[str, Sequence[UUID]], *, rounds: int, seconds: float
) -> tuple[Samples, Samples, dict[str, int]]:
    """Let the ways take turns, as :func:`~benchmarks.measure.interleave` does.

    :param silos: of each way, the silo of each worker.
    :return: the time from one to the next, that of the slowest in a hundred, and how many were
        taken by each way.
    """
    names = list(silos)
    turns: dict[str, list[Turn]] = {name: [] for name in names}
    warm = {name: crew.work(name, silos[name], seconds).taken for name in names}
    for number in range(rounds):
        turned = number % len(names)
        for name in [*names[turned:], *names[:turned]]:
            turns[name].append(crew.work(name, silos[name], seconds))
    return (
        Samples({name: [turn.cost for turn in own] for name, own in turns.items()}),
        Samples({name: [turn.slowest for turn in own] for name, own in turns.items()}),
        {name: warm[name] + sum(turn.taken for turn in own) for name, own in turns.items()},
    )


# -- the worker's process --------------------------------------------------------------------------


def _worker(pipe: Pipe[Any, Shift | None], conninfo: str) -> None:
    with suppress(EOFError, KeyboardInterrupt), psycopg.connect(conninfo, autocommit=True) as conn:
        takes = {name: way.connected(conn) for name, way in CHARGING.items()}
        pipe.send(None)
        while (shift := pipe.recv()) is not None:
            pipe.send(_work(takes[shift.way], shift))


def _work(take: Take, shift: Shift) -> Done:
    taken = refused = 0
    waits: list[float] = []
    sleep(max(0.0, shift.begin - perf_counter()))
    cpu, before = process_time(), perf_counter()
    while before < shift.end:
        try:
            take(shift.silo)
            taken += 1
        except FULL:
            refused += 1
        after = perf_counter()
        if after <= shift.end:
            waits.append(after - before)
        before = after
    return Done(taken, len(waits), refused, process_time() - cpu, waits)
