# SPDX-License-Identifier: MIT
"""Tables of the same times seen the other way round: rows, charges and batches a second.

Of an earlier run: ``python -m benchmarks.rates RESULTS.json``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Spread
from benchmarks.peers.all import BASELINE
from benchmarks.results import Result, Results
from benchmarks.workloads.charges import CHARGES
from benchmarks.workloads.inserts import INSERTS
from benchmarks.workloads.serving import CONNECTIONS, TASKS, THREADS

_LEVEL = 100
"""Statements of the batch that larger ones are compared with: is a statement still as cheap?"""


def tables(results: Results) -> Iterator[Table]:
    """All that there are figures for."""
    if inserts := _of(results, INSERTS):
        yield _by_statement(inserts)
        yield _rates("inserts: rows a second", inserts, "statements")
    for words, rest in (("on the server's socket", {}), ("RTT 1 ms", {"rtt": 0.001})):
        charges = [one for one in _of(results, CHARGES) if _without(one, "workers") == rest]
        if charges:
            yield _rates(f"one counter, {words}: charges a second", charges, "workers")
    for workload, axis in ((THREADS, "threads"), (TASKS, "tasks")):
        if served := _of(results, workload):
            words = f"{axis} on {CONNECTIONS} connections"
            yield _rates(f"{words}: batches a second", served, axis)
            yield _cpu(f"{words}: CPU us a batch", served, axis)


def _by_statement(inserts: list[Result]) -> Table:
    """What one of so many statements takes, and how level that is."""
    sizes = [float(one.settings["statements"]) for one in inserts]
    table = _table("inserts: us a statement", sizes)
    table.add_column(f"{sizes[-1]:,g} / {_LEVEL}", justify="right")
    for peer in inserts[0].samples.costs:
        seen = {
            size: one.samples.wall(peer).middle / size * 1e6
            for size, one in zip(sizes, inserts, strict=True)
        }
        level = f"{seen[sizes[-1]] / seen[_LEVEL]:.2f}" if _LEVEL in seen else "-"
        table.add_row(peer, *[f"{value:.1f}" for value in seen.values()], level)
    return table


def _rates(title: str, measured: list[Result], axis: str) -> Table:
    """So many a second, and what part of the baseline's that is."""
    places = [float(one.settings[axis]) for one in measured]
    table = _table(title, places)
    for peer in measured[0].samples.costs:
        cells = []
        for one, place in zip(measured, places, strict=True):
            rows = place if one.workload == INSERTS else 1.0
            rate = Spread.of([rows / cost.wall for cost in one.samples.costs[peer]])
            part = one.samples.ratio(BASELINE, to=peer)
            cells.append(f"{rate.middle:,.0f} ({part.middle:.2f})")
        table.add_row(peer, *cells)
    table.caption = f"in brackets: beside {BASELINE}"
    table.caption_justify = "left"
    return table


def _cpu(title: str, measured: list[Result], axis: str) -> Table:
    table = _table(title, [float(one.settings[axis]) for one in measured])
    for peer in measured[0].samples.costs:
        seen = [one.samples.cpu(peer) for one in measured]
        table.add_row(peer, *[f"{cpu.middle * 1e6:.0f}" if cpu else "-" for cpu in seen])
    return table


def _of(results: Results, workload: str) -> list[Result]:
    return [one for one in results.measured if one.workload == workload]


def _without(result: Result, axis: str) -> dict[str, float | str]:
    return {name: value for name, value in result.settings.items() if name != axis}


def _table(title: str, places: list[float]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("")
    for place in places:
        table.add_column(f"{place:,g}", justify="right")
    return table


if __name__ == "__main__":
    console = Console(width=132)
    for table in tables(Results.load(Path(sys.argv[1]))):
        console.print(table)
        console.print()
