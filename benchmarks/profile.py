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
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pkgutil import resolve_name
from statistics import median
from time import perf_counter, thread_time
from types import FrameType
from typing import Any
from unittest.mock import patch

from attrs import define, evolve, field
from rich.console import Console

from batchq.testing import server
from benchmarks.interleave import WARM_UP, Spread
from benchmarks.peers import OnPsycopg
from benchmarks.peers.bare import Bare
from benchmarks.peers.batchq import Batchq
from benchmarks.report import new_table
from benchmarks.sandbox import sandbox
from benchmarks.workloads import Workload
from benchmarks.workloads.projects import PROJECT_CREATE
from benchmarks.workloads.rules import inserts

STAGES = ("build", "compile", "encode", "wire", "attribute", "decode", "the rest", "all")

# Where each is called from. Flattening a batch counts as compiling it.
_STAGES_OF: dict[type[OnPsycopg], Mapping[str, str]] = {
    Batchq: {
        "batchq.running.request:plan": "compile",
        "batchq.engine.wire.encode:compiled": "compile",
        "batchq.engine.ready:encode": "encode",
        "batchq.engine.transaction:attribute": "attribute",
        "batchq.engine.transaction:decode": "decode",
    },
    Bare: {
        "benchmarks.peers.bare:BarePipeline.encode": "encode",
        "benchmarks.peers.bare:BarePipeline.decode": "decode",
    },
}
_WAITS = ("batchq.running.waiting:wait", "psycopg:Connection.wait")


@define(eq=False)
class _Clocks:
    """The seconds of each stage in one batch, without those of the stages that it calls."""

    seconds: dict[str, float] = field(factory=dict)
    _inside: list[float] = field(factory=lambda: [0.0])
    """The seconds of the stages that were called, by each stage that has not ended."""

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
                own = took - self._inside.pop()
                self._inside[-1] += took
                self.seconds[stage] = self.seconds.get(stage, 0.0) + own

        return called


def stages(
    conninfo: str, kind: type[OnPsycopg], workload: Workload[Any], times: int
) -> dict[str, float]:
    """Return the seconds of CPU of each stage of a batch: medians."""
    clocks = _Clocks()
    found: list[dict[str, float]] = []
    with sandbox(conninfo) as place, ExitStack() as stack:
        inputs = workload.inputs(place, WARM_UP + times)
        build = "batch" if kind is Batchq else "values"
        timed: dict[str, Any] = {build: clocks.timed("build", getattr(workload, build))}
        driver = stack.enter_context(kind(evolve(workload, **timed)).open(place.conninfo))
        waits = dict.fromkeys(_WAITS, "wire")
        for name, stage in {**waits, **_STAGES_OF[kind]}.items():
            clock = thread_time if name in waits else perf_counter
            function = clocks.timed(stage, resolve_name(name), clock)
            stack.enter_context(patch(name.replace(":", "."), function))
        whole = clocks.timed("all", driver, thread_time)
        driver(inputs[:WARM_UP])
        gc.collect()
        gc.disable()
        try:
            for number in range(WARM_UP, WARM_UP + times):
                clocks.seconds = {}
                whole(inputs[number : number + 1])
                found.append(clocks.seconds)
        finally:
            gc.enable()
    split = {stage: median(own[stage] for own in found) for stage in STAGES if stage in found[0]}
    rest = split.pop("all")  # the seconds of the whole that no stage was timed for
    return {**split, "the rest": rest, "all": rest + sum(split.values())}


def count_calls(work: Callable[[], object]) -> Counter[str]:
    """Count the functions that are called, in Python and in C."""
    counter: Counter[str] = Counter()

    def profile(frame: FrameType, event: str, _: Any) -> None:
        # Python 3.12 and later have no call for a comprehension.
        if event == "c_call" or (event == "call" and not frame.f_code.co_name.endswith("comp>")):
            counter["C" if event == "c_call" else "Python"] += 1

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return counter


def calls_and_memory(conninfo: str, workload: Workload[Any]) -> tuple[int, int, int]:
    """Return how many functions a warm batch calls, in Python and in C, and the bytes it takes.

    The bytes are Python's, at the most, beside the parameters.
    """
    with sandbox(conninfo) as place, Batchq(workload).open(place.conninfo) as driver:
        *warm, last = workload.inputs(place, WARM_UP if workload is PROJECT_CREATE else 3)
        # A wait for the server that is interrupted takes another call or two: the fewest count.
        counted = [count_calls(partial(driver, [given])) for given in warm]
        gc.collect()
        tracemalloc.start()
        driver([last])
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return min(own["Python"] for own in counted), min(own["C"] for own in counted), peak


def import_milliseconds(module: str) -> float:
    """Return the time of an interpreter that imports a module."""
    begin = perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)  # noqa: S603  our own
    return (perf_counter() - begin) * 1e3


def main() -> None:
    """Profile and print."""
    split = new_table("CPU time, us a statement", "", *STAGES)
    warm = new_table("a warm batch", "", "Python calls", "C calls", "bytes a statement")
    with server(settings={"synchronous_commit": "off", "autovacuum": "off"}) as postgres:
        conninfo = postgres.conninfo()
        workload: Workload[Any]
        kind: type[OnPsycopg]
        for kind, workload, statements, times in (
            (Batchq, PROJECT_CREATE, 8, 500),
            (Bare, PROJECT_CREATE, 8, 500),
            (Batchq, inserts(100), 100, 50),
        ):
            own = stages(conninfo, kind, workload, times)
            cells = [f"{own[s] / statements * 1e6:.1f}" if s in own else "-" for s in STAGES]
            split.add_row(f"{kind.name}, {workload.name} ({statements} statements)", *cells)
        for statements in (8, 100, 1_000, 10_000):
            workload = PROJECT_CREATE if statements == 8 else inserts(statements)  # noqa: PLR2004
            python, in_c, peak = calls_and_memory(conninfo, workload)
            name = f"{workload.name} ({statements:,} statements)"
            warm.add_row(name, f"{python:,}", f"{in_c:,}", f"{peak / statements:,.0f}")
    for module in ("psycopg", "batchq"):  # compile and read from disk what is not yet
        import_milliseconds(module)
    rounds = range(15)
    more = Spread.of(
        [import_milliseconds("batchq") - import_milliseconds("psycopg") for _ in rounds]
    )
    console = Console(width=140)
    console.print(split, "", warm, "", sep="\n")
    console.print(
        f"import batchq takes {more.middle:.0f} ms more than import psycopg "
        f"(middle half {more.low:.0f} - {more.high:.0f}; target <= 150)"
    )


if __name__ == "__main__":
    main()
