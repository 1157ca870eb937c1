# SPDX-License-Identifier: MIT
"""Processes that all take from the same counter at once, each on a connection of its own.

They are not threads. Threads of one process also wait for each other's Python: a thread that holds
a row's lock would keep it until it is its turn to run, which affects only the ways that need Python
between lock and COMMIT. In a service, callers who want the same row are mostly in other processes.
The workers begin and stop by the clock, which is the same for all processes of a machine.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from multiprocessing.connection import Connection as Pipe
from time import perf_counter, process_time, sleep
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
from attrs import astuple, frozen

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
"""The ways to take one from a counter; they raise one of FULL if it is full."""

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
    """The work of one worker, or of all of them.

    Attributes:
        taken: all it took, the last one included, which may have come too late.
        in_time: those that ended in time.
        refused: how often the counter was full.
        cpu: seconds.
    """

    taken: int
    in_time: int
    refused: int
    cpu: float

    @classmethod
    def total(cls, results: Iterable[WorkerResult]) -> WorkerResult:
        """Add the results of all workers."""
        sums = map(sum, zip(*map(astuple, results), strict=True))
        return cls(*sums)


@frozen
class Workers:
    """Processes that are connected and wait for orders."""

    pipes: Sequence[Pipe[WorkerTask | None, WorkerResult]]

    def work(self, way: str, silos: Sequence[UUID], seconds: float) -> WorkerResult:
        """Let all workers work for so long, each on its silo."""
        begin = perf_counter() + _NOTICE
        for pipe, silo in zip(self.pipes, silos, strict=True):
            pipe.send(WorkerTask(way, silo, begin, begin + seconds))
        return WorkerResult.total([pipe.recv() for pipe in self.pipes])


def contend(conninfo: str, workers: Workers, *, rounds: int) -> tuple[Samples, tuple[str, ...]]:
    """Let the ways take turns; the first shift of each is for warming up.

    :return: the time from one to the next of all workers together and the CPU's for one, and the
        ways whose counter differs from what the workers took.
    """
    number = len(workers.pipes)
    with psycopg.connect(conninfo, autocommit=True) as conn:
        LIMITS.create(conn)
        silos = {
            way: create_counters(conn, number if way == OWN_COUNTER else 1, room=PLENTY)
            for way in CHARGES
        }
        shifts: dict[str, list[WorkerResult]] = {way: [] for way in CHARGES}
        for round_ in range(1 + rounds):
            for way in rotated(list(CHARGES), round_):
                each = (silos[way] * number)[:number]
                shifts[way].append(workers.work(way, each, _SHIFT))
        counted = {way: sum(taken(conn, silo) for silo in own) for way, own in silos.items()}
    costs = {
        way: [
            Cost(_SHIFT / (shift.in_time or 1), shift.cpu / (shift.taken or 1)) for shift in own[1:]
        ]
        for way, own in shifts.items()
    }
    miscounted = [w for w, own in shifts.items() if counted[w] != sum(s.taken for s in own)]
    return Samples(costs), tuple(miscounted)


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
    count = in_time = refused = 0
    take = CHARGES[task.way]
    sleep(max(0.0, task.begin - perf_counter()))
    cpu = process_time()
    while perf_counter() < task.end:
        try:
            take(conn, task.silo)
            count += 1
            in_time += perf_counter() <= task.end
        except FULL:
            refused += 1
    return WorkerResult(count, in_time, refused, process_time() - cpu)
