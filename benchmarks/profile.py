# SPDX-License-Identifier: MIT
"""Profile a batch: CPU time by stage, the number of calls, memory, and the time of the import.

Each stage is timed where it is called, between two waits for the server: what a wait evicts from
the processor's caches is part of its cost. A clock of CPU time takes longer than some stages, so
only the batch and its wire have one. The others never wait, and are timed by the clock on the wall.

    python -m benchmarks.profile
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from pkgutil import resolve_name
from statistics import median
from time import perf_counter, thread_time
from types import FrameType
from typing import Any
from unittest.mock import patch

import psycopg
from attrs import define, evolve, field
from rich.console import Console
from rich.table import Table

from batchq import run
from batchq.testing import server
from benchmarks.interleave import WARM_UP, Spread
from benchmarks.peers import Connection, OnPsycopg
from benchmarks.peers.bare import Bare
from benchmarks.peers.batchq import Batchq
from benchmarks.sandbox import sandbox
from benchmarks.workloads import Workload
from benchmarks.workloads.projects import PROJECT_CREATE
from benchmarks.workloads.rules import VPC_OF_RULES, inserts, rules, rules_insert

STAGES = ("build", "compile", "encode", "wire", "attribute", "decode", "the rest", "all")

# Where each is called from. Flattening a batch counts as compiling it.
_STAGES_OF: dict[type[OnPsycopg], Mapping[str, str]] = {
    Batchq: {
        "batchq.running.request:plan": "compile",
        "batchq.engine.wire.encode:compiled": "compile",
        "batchq.engine.transaction:encode": "encode",
        "batchq.engine.transaction:attribute": "attribute",
        "batchq.engine.transaction:decode": "decode",
    },
    Bare: {
        "benchmarks.peers.bare:BarePipeline.encode": "encode",
        "benchmarks.peers.bare:BarePipeline.decode": "decode",
    },
}
_WAITS = ("batchq.running.waiting:wait", "psycopg:Connection.wait")

_IMPORT_ROUNDS = 15
_MEMORY = (100, 1_000, 10_000)


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
        for name in _WAITS:
            _patch(stack, name, clocks.timed("wire", resolve_name(name), thread_time))
        for name, stage in _STAGES_OF[kind].items():
            _patch(stack, name, clocks.timed(stage, resolve_name(name)))
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


def _patch(stack: ExitStack, name: str, function: Callable[..., Any]) -> None:
    stack.enter_context(patch(name.replace(":", "."), function))


def calls(conn: Connection, workload: Workload[Any], inputs: Any) -> dict[str, int]:
    """Return how many functions of each kind a warm batch calls, at the fewest.

    A wait for the server that is interrupted takes another call or two.
    """
    counted: list[Counter[str]] = []
    for given in inputs:
        counter: Counter[str] = Counter()

        def look(frame: FrameType, event: str, _: Any, counter: Counter[str] = counter) -> None:
            if event == "c_call":
                counter["C"] += 1
            # Python 3.12 and later have no call for a comprehension.
            elif event == "call" and not frame.f_code.co_name.endswith("comp>"):
                counter["Python"] += 1

        sys.setprofile(look)
        try:
            run(conn, workload.batch(given))
        finally:
            sys.setprofile(None)
        counted.append(counter)
    return {kind: min(own[kind] for own in counted[WARM_UP:]) for kind in ("Python", "C")}


def memory(conninfo: str, statements: int) -> dict[str, float]:
    """Return the bytes that a batch takes beside its parameters, at the most, by statement.

    Python's part is traced. libpq's buffers and results are not Python's, so the whole process is
    looked at as well, if the system knows its peak (Linux).
    """
    with psycopg.connect(conninfo, autocommit=True) as conn:
        for number in range(3):  # prepared, and everything imported
            run(conn, rules_insert(rules(VPC_OF_RULES, range(number * 10, number * 10 + 10))))
        first, second = (
            rules(VPC_OF_RULES, range(begin, begin + statements))
            for begin in (100, 100 + statements)
        )
        gc.collect()
        before = _resident("VmRSS")
        run(conn, rules_insert(first))
        resident = _resident("VmHWM") - before
        gc.collect()
        tracemalloc.start()
        run(conn, rules_insert(second))
        _, traced = tracemalloc.get_traced_memory()
    return {"Python": traced / statements, "resident": resident / statements}


def _resident(name: str) -> int:
    """Return the bytes in memory, now (VmRSS) or at the most (VmHWM); 0 if unknown."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines[name].split()[0]) * 1024


def import_milliseconds(module: str) -> float:
    """Return the time of an interpreter that imports a module."""
    begin = perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)  # noqa: S603  our own
    return (perf_counter() - begin) * 1e3


def main() -> None:
    """Profile and print."""
    console = Console(width=120)
    split = _table("CPU time, us a statement", "", *STAGES)
    called = _table("calls of a warm batch", "", "Python", "C")
    taken = _table("memory beside the parameters, bytes a statement", "", "Python", "resident")
    profiled: tuple[tuple[type[OnPsycopg], Workload[Any], int, int], ...] = (
        (Batchq, PROJECT_CREATE, 8, 500),
        (Bare, PROJECT_CREATE, 8, 500),
        (Batchq, inserts(100), 100, 50),
    )
    with server(settings={"synchronous_commit": "off", "autovacuum": "off"}) as postgres:
        conninfo = postgres.conninfo()
        for kind, workload, statements, times in profiled:
            own = stages(conninfo, kind, workload, times)
            cells = [f"{own[s] / statements * 1e6:.1f}" if s in own else "-" for s in STAGES]
            name = f"{kind.name}, {workload.name} ({statements} statements)"
            split.add_row(name, *cells)
            if kind is Batchq:
                with (
                    sandbox(conninfo) as place,
                    psycopg.connect(place.conninfo, autocommit=True) as conn,
                ):
                    found = calls(conn, workload, workload.inputs(place, WARM_UP + 5))
                called.add_row(name, *map(str, found.values()))
        for statements in _MEMORY:
            with sandbox(conninfo) as place:
                command = [sys.executable, "-m", "benchmarks.profile", place.conninfo]
                text = subprocess.check_output([*command, str(statements)])  # noqa: S603  our own
            bytes_taken = json.loads(text).values()
            taken.add_row(f"{statements:,}", *[f"{value:,.0f}" for value in bytes_taken])
    for table in (split, called, taken):
        console.print(table)
        console.print()
    for module in ("psycopg", "batchq"):  # compile and read from disk what is not yet
        import_milliseconds(module)
    more = Spread.of(
        [
            import_milliseconds("batchq") - import_milliseconds("psycopg")
            for _ in range(_IMPORT_ROUNDS)
        ]
    )
    console.print(
        f"import batchq takes {more.middle:.0f} ms more than import psycopg "
        f"(middle half {more.low:.0f} - {more.high:.0f}; target <= 150)"
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    return table


if __name__ == "__main__":
    if sys.argv[1:]:  # in a process of its own, which has done little else
        print(json.dumps(memory(sys.argv[1], int(sys.argv[2]))))
    else:
        main()
