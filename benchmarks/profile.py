# SPDX-License-Identifier: MIT
"""Profile a batch: CPU time by stage, the number of calls, memory, and the time of the import.

Each stage is timed where it is called, between two waits for the server: what a wait evicts from
the processor's caches is part of its cost. A clock of CPU time takes longer than some stages, so
only the batch and its wire have one. The others never wait, and are timed by the clock on the wall.

    python -m benchmarks.profile
"""

from __future__ import annotations

import gc
import subprocess
import sys
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pkgutil import resolve_name
from statistics import median
from time import perf_counter, thread_time
from types import FrameType
from typing import Any
from unittest.mock import patch

from attrs import evolve
from psycopg.adapt import Transformer
from rich.console import Console

from batchq.testing import server
from benchmarks.interleave import WARM_UP, Cost, interleave
from benchmarks.measure import opened
from benchmarks.peers import OnPsycopg, Peer
from benchmarks.peers.bare import Bare, BareModels
from benchmarks.peers.batchq import Batchq, forms
from benchmarks.report import compared, new_table
from benchmarks.results import Result
from benchmarks.sandbox import SETTINGS
from benchmarks.workloads import Workload
from benchmarks.workloads.projects import PROJECT_CREATE
from benchmarks.workloads.rules import inserts

STAGES = ("build", "compile", "encode", "wire", "attribute", "decode", "the rest", "all")

# Where each is called from. Flattening a batch counts as compiling it.
_STAGE_OF = {
    "batchq.running.run:plan": "compile",
    "batchq.engine.ready:program_of": "compile",
    "batchq.engine.ready:encode": "encode",
    "batchq.engine.transaction:Transaction.settle": "attribute",
    "batchq.engine.conclusion:decode": "decode",
    "benchmarks.peers.bare:Bare.encode": "encode",
    "benchmarks.peers.bare:Bare.decode": "decode",
    "batchq.running.waiting:wait": "wire",
    "psycopg:Connection.wait": "wire",
}
_IMPORTS = ("import psycopg", "import batchq", "from batchq import run")
"""The first is what the others are compared with; the last one also imports psycopg."""

_WARM = 12
"""Batches after which everything is prepared and every cache is filled."""


class _Clocks:
    """The seconds of each stage in one batch, without those of the stages that it calls."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inside = [0.0]  # of the stages called, by each stage that has not ended

    def timed(
        self, stage: str, function: Callable[..., Any], clock: Callable[[], float] = perf_counter
    ) -> Callable[..., Any]:
        """Return the function, timed."""

        def called(*args: Any, **kwargs: Any) -> Any:
            self._inside.append(0.0)
            begin = clock()
            try:
                return function(*args, **kwargs)
            finally:
                took = clock() - begin
                self.seconds[stage] += took - self._inside.pop()
                self._inside[-1] += took

        return called


def stages(
    conninfo: str, kind: Callable[[Workload], OnPsycopg], workload: Workload, times: int
) -> dict[str, float]:
    """Return the seconds of CPU of each stage of a batch: medians."""
    clocks = _Clocks()
    values = clocks.timed("build", workload.values)
    batches = {form: clocks.timed("build", batch) for form, batch in workload.batches.items()}
    peer = kind(evolve(workload, values=values, batches=batches))
    found: list[dict[str, float]] = []
    with ExitStack() as stack:
        (side,) = stack.enter_context(opened(conninfo, [peer], WARM_UP + times))
        for name, stage in _STAGE_OF.items():
            clock = thread_time if stage == "wire" else perf_counter
            function = clocks.timed(stage, resolve_name(name), clock)
            stack.enter_context(patch(name.replace(":", "."), function))
        whole = clocks.timed("the rest", side.work, thread_time)
        whole(range(WARM_UP))
        gc.collect()
        gc.disable()
        stack.callback(gc.enable)
        for number in range(WARM_UP, WARM_UP + times):
            clocks.seconds.clear()
            whole(range(number, number + 1))
            found.append(dict(clocks.seconds))
    split = {stage: median(own[stage] for own in found) for stage in STAGES if stage in found[0]}
    return {**split, "all": sum(split.values())}


def count_calls(work: Callable[[], object]) -> Counter[str]:
    """Count the functions that are called, in Python (``call``) and in C (``c_call``)."""
    counter: Counter[str] = Counter()

    def profile(frame: FrameType, event: str, _: Any) -> None:
        # Python 3.12 and later have no call for a comprehension.
        counter[event] += not frame.f_code.co_name.endswith("comp>") or event == "c_call"

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return counter


def calls_and_memory(conninfo: str, peer: Batchq) -> tuple[int, int, int]:
    """Return how many functions a warm batch calls, in Python and in C, and the bytes it takes.

    The bytes are Python's, at the most, beside the values and what they are encoded to.
    """
    bare = Bare(peer.workload)
    with opened(conninfo, [peer], _WARM + 1) as (side,):
        # A wait for the server that is interrupted takes another call or two: the fewest count.
        turns = [partial(side.work, range(number, number + 1)) for number in range(_WARM + 1)]
        counted = [count_calls(turn) for turn in turns[:-1]]
        gc.collect()
        tracemalloc.start()
        turns[-1]()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        values = peer.workload.values(side.inputs[-1])
    encoded = chain.from_iterable(own for own, _ in bare.encode(values, Transformer()))
    peak -= sum(map(sys.getsizeof, encoded))
    return min(own["call"] for own in counted), min(own["c_call"] for own in counted), peak


def imported(statement: str, _: range) -> Cost:
    """Return what an import takes in a new interpreter, which has only started."""
    clocks = "from time import perf_counter as wall, process_time as cpu; began = wall(), cpu()"
    program = f"{clocks}\n{statement}\nprint(wall() - began[0], cpu() - began[1])"
    command = [sys.executable, "-c", program]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603  our own
    return Cost(*map(float, printed.stdout.split()))


def main() -> None:
    """Profile and print."""
    split = new_table("CPU time, us a statement", "", *STAGES)
    memory = "bytes a statement,\nbeside the encoded"
    warm = new_table("a warm batch", "", "Python calls", "C calls", memory)
    with server(settings=SETTINGS) as postgres:
        conninfo = postgres.conninfo()
        for workload, statements in ((PROJECT_CREATE, 8), (inserts(100), 100)):
            kinds: list[Callable[[Workload], OnPsycopg]] = [Bare, BareModels]
            kinds[:0] = [partial(Batchq, form=form) for form in workload.batches]
            for kind in kinds:
                own = stages(conninfo, kind, workload, 4_000 // statements)
                cells = [f"{own[s] / statements * 1e6:.1f}" if s in own else "-" for s in STAGES]
                split.add_row(_row(kind(workload), statements), *cells)
        for workload, statements in ((PROJECT_CREATE, 8), (inserts(1_000), 1_000)):
            for peer in forms(workload):
                python, in_c, peak = calls_and_memory(conninfo, peer)
                cells = [f"{python:,}", f"{in_c:,}", f"{peak / statements:,.0f}"]
                warm.add_row(_row(peer, statements), *cells)
    turns = {statement: partial(imported, statement) for statement in _IMPORTS}
    interleave(turns, rounds=1, calls=1)  # compiles what is not yet
    imports = Result("imports", {}, interleave(turns, rounds=9, calls=1))
    Console(width=150).print(split, "", warm, "", compared([imports]), sep="\n")


def _row(peer: Peer, statements: int) -> str:
    return f"{peer.name}: {peer.workload.name} ({statements:,} statements)"


if __name__ == "__main__":
    main()
