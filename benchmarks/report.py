# SPDX-License-Identifier: MIT
"""Print the tables of a run, or of several: times, ratios to the baseline and to the first peer.

``python -m benchmarks.report RESULTS.json [...]``, the files that pytest-benchmark has written. A
figure of several runs is the median of the figures of each.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.cases import ALL
from benchmarks.interleave import CLOCKS, Clock
from benchmarks.results import Result, load

BASELINE = ALL[0].name
_console = Console(width=180)


def compared(runs: Sequence[Result]) -> Table:
    """Compare each side of a case with the baseline, and with the first side."""
    result, *_ = runs
    costs = result.samples.costs
    baselines = [name for name in dict.fromkeys((BASELINE, next(iter(costs)))) if name in costs]
    # The CPU time of other processes is not known here.
    clocks = CLOCKS[:1] if "processes" in result.settings else CLOCKS
    columns = [f"{clock}, us" for clock in clocks]
    for baseline, clock in product(baselines, clocks):
        columns += [f"{clock} /\n{baseline}", "10 %"]
    columns += ("flights", "messages", "bytes") if result.wires else ()
    table = new_table(result.title, "", *columns)
    for name in costs:
        cells: list[str] = []
        for clock in clocks:
            seconds = median(run.samples.spread(name, clock).middle for run in runs)
            cells.append(f"{seconds * 1e6:.0f}")
        for baseline, clock in product(baselines, clocks):
            cells += ratios(runs, name, baseline, clock)[:2]
        table.add_row(name, *cells, *_wire(result, name))
    return table


def ratios(runs: Sequence[Result], side: str, to: str, clock: Clock) -> list[str]:
    """Format how many times as long as the other side a side took.

    :return: the median of the runs' medians, that of their 10th percentiles, the range of medians.
    """
    found = [run.samples.ratio(side, to=to, clock=clock) for run in runs]
    middles = sorted(ratio.middle for ratio in found)
    low = median(ratio.low for ratio in found)
    return [f"{median(middles):.2f}", f"{low:.2f}", f"{middles[0]:.2f} - {middles[-1]:.2f}"]


def show(runs: Sequence[Result]) -> None:
    """Print the table of a case after an empty line."""
    _console.print()
    _console.print(compared(runs))


def _wire(result: Result, name: str) -> list[str]:
    wire = result.wires.get(name)
    if wire is None:
        return []
    messages = f"{wire.messages_sent} + {wire.messages_received}"
    return [str(wire.flights), messages, f"{wire.bytes_sent} + {wire.bytes_received}"]


def new_table(name: str, *columns: str) -> Table:
    """Return a table whose first column is of names, and the others of figures."""
    table = Table(title=name, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def main(paths: Sequence[Path]) -> None:
    """Print all tables."""
    runs: dict[str, list[Result]] = defaultdict(list)
    environment: dict[str, str] = {}
    for path in paths:
        environment, results = load(path)
        for result in results:
            runs[result.title].append(result)
    for name, words in environment.items():
        _console.print(f"{name + ':':19}{words}", highlight=False)
    for own in runs.values():
        show(own)


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
