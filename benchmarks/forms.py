# SPDX-License-Identifier: MIT
"""Compare the forms of a batch with each other and with what they replace, several runs in turns.

A ratio above 1 means that the first peer takes longer than the second; that of two rates is the
inverse. It is the median of the runs' medians; after it come the median of their 10th percentiles,
and the lowest and the highest median::

    python -m benchmarks.forms [RUNS] [TIMES]      # TIMES: so many times as many rounds in a run
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import chain

from attrs import evolve
from rich.console import Console

from batchq.testing import server
from benchmarks.cases import ALL, CASES, SUCCEEDING
from benchmarks.interleave import CLOCKS
from benchmarks.measure import Case
from benchmarks.peers.bare import Bare, BareModels
from benchmarks.peers.one_statement import Cte, Plpgsql
from benchmarks.report import new_table, ratios
from benchmarks.sandbox import SETTINGS
from benchmarks.workloads import FORMS
from benchmarks.workloads.gate import GATED
from benchmarks.workloads.guards import PLAIN

TITLES = (
    "project_create",
    "project_create, RTT 1 ms",
    "failing, at first",
    "failing, at second",
    "failing, at last",
    "inserts, statements 10000",
    "guards, updates 8",
    "gate, updates 2",
    "gate, updates 8",
    "gate, updates 2, RTT 1 ms",
    "throughput, tasks 16",
)
"""Of the cases in which the forms are compared."""

_BY_HAND = (Bare, BareModels, Cte, Plpgsql)


def pairs(case: Case) -> Iterator[tuple[str, str]]:
    """Yield the names of two peers of a case that are compared."""
    names = [peer.name for peer in case.peers]
    if case.workload == "guards":
        yield from ((name, PLAIN) for name in names if name != PLAIN)
    elif case.workload == "gate":
        yield from ((name, name.removesuffix(GATED)) for name in names if name.endswith(GATED))
    elif case.workload == "failing":
        yield from ((form, form + SUCCEEDING) for form in FORMS)
    elif "rtt" in case.settings:
        yield from ((form, Plpgsql.name) for form in FORMS)
    else:
        yield from ((form, own.name) for own in _BY_HAND for form in FORMS if own.name in names)
    if case.title == "project_create":
        others = [own.name for own in ALL if own not in _BY_HAND]
        yield from ((other, form) for other in others for form in FORMS)


def main(runs: int = 5, times: int = 1) -> None:
    """Measure and print: a table of each case, with a line for each pair of peers."""
    console = Console(width=140)
    with server(settings=SETTINGS) as postgres:
        for case in (case for case in CASES if case.title in TITLES):
            named = {*chain.from_iterable(pairs(case))}
            own = evolve(case, peers=[peer for peer in case.peers if peer.name in named])
            results = [own.measure(postgres.conninfo(), times=times) for _ in range(runs)]
            table = new_table(case.title, "", "wall", "10 %", "runs", "cpu", "10 %", "runs")
            for side, to in pairs(case):
                cells = (ratios(results, side, to, clock) for clock in CLOCKS)
                table.add_row(f"{side} / {to}", *chain.from_iterable(cells))
            console.print(table, "", sep="\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
