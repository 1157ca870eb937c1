# SPDX-License-Identifier: MIT
"""Processes that all take from the same counter at once, each on a connection of its own.

They are not threads. Threads of one process also wait for each other's Python: a thread that holds
a row's lock would keep it until it is its turn to run, which affects only the ways that need Python
between lock and COMMIT. In a service, callers who want the same row are mostly in other processes.
The workers begin and stop by the clock, which is the same for all processes of a machine.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from multiprocessing.connection import Connection as Pipe
from statistics import quantiles
from time import perf_counter, process_time, sleep
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
from attrs import frozen

from batchq import run
from batchq.limits import LimitExceeded as NoRoom
from batchq.limits import Limits
from benchmarks.interleave import Cost, Samples, rotated
from benchmarks.peers import Connection
from benchmarks.peers.bare import Bare
from benchmarks.peers.batchq import Batchq
from benchmarks.peers.psycopg3 import Transaction
from benchmarks.sandbox import PLENTY
from benchmarks.workloads.projects import CHARGE
from examples.datastore.errors import LimitExceeded

LIMITS: Final = Limits()
OWN_COUNTER: Final = "batchq, a counter for each worker"
"""The rate that the machine is capable of: no worker waits for another one's row."""

_SHIFT = 0.12
"""Seconds."""
_NOTICE = 0.02
"""Seconds between the order to the workers and their beginning, so that all have received it."""


def _charge(conn: Connection, silo: UUID) -> object:
    return run(conn, LIMITS.charge("projects", scope=silo, id=uuid4()))


def _lock_and_check(conn: Connection, silo: UUID) -> None:
    """Lock the counter, look at it in Python, and write it."""
    look = "SELECT projects_used, projects_limit FROM silo_limits WHERE silo_id = %s FOR UPDATE"
    with conn.transaction():
        used, limit = conn.execute(look, (silo,)).fetchone() or (0, 0)
        if used >= limit:
            raise LimitExceeded("projects of silo", silo)
        conn.execute(
            "UPDATE silo_limits SET projects_used = %s WHERE silo_id = %s", (used + 1, silo)
        )


CHARGES: Mapping[str, Callable[[Connection, UUID], object]] = {
    Batchq.name: Batchq(CHARGE).call,
    "batchq.limits": _charge,
    Bare.name: Bare(CHARGE).call,
    "psycopg, one UPDATE in autocommit": Transaction(CHARGE).work,
    Transaction.name: _lock_and_check,
    OWN_COUNTER: Batchq(CHARGE).call,
}
"""The ways to take one from a counter; they raise one of FULL if there is no room."""

FULL: Final = (LimitExceeded, NoRoom, psycopg.errors.CheckViolation)


def create_counters(conn: Connection, number: int, *, room: int) -> list[UUID]:
    """Create the counters of so many silos, in the example's table and in that of batchq.limits."""
    silos = [uuid4() for _ in range(number)]
    for silo in silos:
        text = "INSERT INTO silo_limits (silo_id, projects_limit) VALUES (%s, %s)"
        conn.execute(text, (silo, room))
        run(conn, LIMITS.set_limit("projects", room, scope=silo))
    return silos


def taken(conn: Connection, silo: UUID) -> int:
    """Return how many have been taken, by what the counters say, and the ledger if there is one."""
    text = (
        "SELECT projects_used, used, "
        "(SELECT count(*) FROM resource_charge WHERE scope_id = silo_id) "
        "FROM silo_limits JOIN resource_limit ON scope_id = silo_id WHERE silo_id = %s"
    )
    used, charged, held = conn.execute(text, (silo,)).fetchone() or (0, 0, 0)
    if charged != held:
        raise AssertionError(f"the counter says {charged}, the ledger {held}")
    return int(used) + int(charged)


@frozen
class WorkerTask:
    """An order to a worker: in which way to take from which counter, and from when to when."""

    way: str
    silo: UUID
    begin: float
    end: float


@frozen
class WorkerResult:
    """The work of one worker.

    Attributes:
        taken: all it took, the last one included, which may have come too late.
        refused: how often there was no room.
        cpu: seconds.
        waits: the seconds of each one that ended in time.
    """

    taken: int
    refused: int
    cpu: float
    waits: Sequence[float]


@frozen
class Shift:
    """The work of all of them in the same time."""

    seconds: float
    results: Sequence[WorkerResult]

    @property
    def taken(self) -> int:
        """Return how many were taken."""
        return sum(result.taken for result in self.results)

    @property
    def refused(self) -> int:
        """Return how often there was no room."""
        return sum(result.refused for result in self.results)

    @property
    def waits(self) -> list[float]:
        """Return the seconds of each one that ended in time."""
        return [wait for result in self.results for wait in result.waits]

    @property
    def cost(self) -> Cost:
        """Return the time from one to the next of all workers, and the CPU's for one."""
        cpu = sum(result.cpu for result in self.results) / (self.taken + self.refused or 1)
        return Cost(self.seconds / (len(self.waits) or 1), cpu)

    @property
    def slowest(self) -> Cost:
        """Return the time of the slowest one in a hundred."""
        if len(self.waits) < 2:  # noqa: PLR2004  quantiles() needs two
            return Cost(self.seconds, None)
        return Cost(quantiles(self.waits, n=100, method="inclusive")[-1], None)


@frozen
class Workers:
    """Processes that are connected and wait for orders."""

    _pipes: Sequence[Pipe[WorkerTask | None, WorkerResult]]

    def work(self, way: str, silos: Sequence[UUID], seconds: float) -> Shift:
        """Let as many workers as there are silos work for so long, each on its silo."""
        begin = perf_counter() + _NOTICE
        pipes = self._pipes[: len(silos)]
        for pipe, silo in zip(pipes, silos, strict=True):
            pipe.send(WorkerTask(way, silo, begin, begin + seconds))
        return Shift(seconds, [pipe.recv() for pipe in pipes])

    def interleave(
        self, silos: Mapping[str, Sequence[UUID]], *, rounds: int, seconds: float
    ) -> dict[str, list[Shift]]:
        """Let the ways take turns, as :func:`~benchmarks.interleave.interleave` does.

        :param silos: the silo of each worker, for each way.
        :return: the shifts of each way; the first one is for warming up.
        """
        shifts = {way: [self.work(way, own, seconds)] for way, own in silos.items()}
        for number in range(rounds):
            for way in rotated(list(silos), number):
                shifts[way].append(self.work(way, silos[way], seconds))
        return shifts


@frozen
class Contention:
    """What was measured of all ways with the same number of workers.

    Attributes:
        times: from one to the next, of all workers together.
        slowest: of the slowest one in a hundred: ``times`` does not show how even the waits are.
        miscounted: ways whose counter differs from what the workers took.
    """

    times: Samples
    slowest: Samples
    miscounted: tuple[str, ...]


def contend(conninfo: str, workers: Workers, number: int, *, rounds: int) -> Contention:
    """Let so many workers take from one counter, or each from its own if that is the way."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        LIMITS.create(conn)
        silos = {
            way: create_counters(conn, number if way == OWN_COUNTER else 1, room=PLENTY)
            for way in CHARGES
        }
        shifts = workers.interleave(
            {way: (own * number)[:number] for way, own in silos.items()},
            rounds=rounds,
            seconds=_SHIFT,
        )
        counted = {way: sum(taken(conn, silo) for silo in own) for way, own in silos.items()}
    return Contention(
        Samples({way: [shift.cost for shift in own[1:]] for way, own in shifts.items()}),
        Samples({way: [shift.slowest for shift in own[1:]] for way, own in shifts.items()}),
        tuple(w for w, own in shifts.items() if sum(s.taken for s in own) != counted[w]),
    )


@contextmanager
def processes(conninfo: str, number: int) -> Iterator[Workers]:
    """Start so many workers."""
    # Not copies of this process, which has threads and connections of its own.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ExitStack() as stack:
        pipes: list[Pipe[WorkerTask | None, Any]] = []
        for _ in range(number):
            near, far = context.Pipe()
            process = context.Process(target=_worker, args=(far, conninfo), daemon=True)
            process.start()
            stack.callback(process.join)
            far.close()
            pipes.append(stack.enter_context(closing(near)))
        for pipe in pipes:
            pipe.recv()  # it is connected
        yield Workers(pipes)
        for pipe in pipes:
            pipe.send(None)


def _worker(pipe: Pipe[Any, WorkerTask | None], conninfo: str) -> None:
    with suppress(EOFError, KeyboardInterrupt), psycopg.connect(conninfo, autocommit=True) as conn:
        pipe.send(None)
        while (task := pipe.recv()) is not None:
            pipe.send(_work(conn, task))


def _work(conn: Connection, task: WorkerTask) -> WorkerResult:
    count = refused = 0
    waits: list[float] = []
    take = CHARGES[task.way]
    sleep(max(0.0, task.begin - perf_counter()))
    cpu, before = process_time(), perf_counter()
    while before < task.end:
        try:
            take(conn, task.silo)
            count += 1
        except FULL:
            refused += 1
        after = perf_counter()
        if after <= task.end:
            waits.append(after - before)
        before = after
    return WorkerResult(count, refused, process_time() - cpu, waits)
