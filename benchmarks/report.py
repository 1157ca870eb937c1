# SPDX-License-Identifier: MIT
"""The tables at the end of a run: times and ratios, what goes over the wire, and the aims.

Of an earlier run: ``python -m benchmarks.report RESULTS.json``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import rates
from benchmarks.aims import AIMS
from benchmarks.measure import Spread
from benchmarks.peers.all import BASELINE
from benchmarks.results import Result, Results
from benchmarks.stages import STAGES

_WIDTH = 140


def show(results: Results, *, colours: bool) -> list[str]:
    """All tables, line by line."""
    lines = StringIO()
    console = Console(
        file=lines,
        width=_WIDTH,
        force_terminal=colours,
        color_system="standard" if colours else None,
    )
    for name, words in results.environment.items():
        console.print(f"{name + ':':17}{words}", highlight=False)
    for table in _tables(results):
        console.print()
        console.print(table)
    return lines.getvalue().splitlines()


def _tables(results: Results) -> Iterator[Table]:
    for result in results.measured:
        yield _compared(result)
    yield from rates.tables(results)
    if results.stages:
        yield _stages(results)
    if results.memory:
        yield _memory(results)
    yield _aims(results)


def _compared(result: Result) -> Table:
    """Each peer beside the baseline."""
    table = _table(result.title, "peer", "us a call", "middle half", f"/ {BASELINE}")
    table.add_column("middle half", justify="right")
    table.add_column("CPU us", justify="right")
    for title in ("flights", "messages", "bytes") if result.wires else ():
        table.add_column(title, justify="right")
    samples = result.samples
    for name in samples.costs:
        wall, cpu = samples.wall(name), samples.cpu(name)
        cells = [name, f"{wall.middle * 1e6:.0f}", _half(wall, 1e6, 0)]
        if BASELINE in samples.costs:
            ratio = samples.ratio(name, to=BASELINE)
            cells += [f"{ratio.middle:.2f}", _half(ratio, 1, 2)]
        else:
            cells += ["-", "-"]
        cells.append(f"{cpu.middle * 1e6:.0f}" if cpu else "-")
        if result.wires:
            wire = result.wires[name]
            cells.append(str(wire.flights))
            cells.append(f"{wire.messages_sent} + {wire.messages_received}")
            cells.append(f"{wire.bytes_sent} + {wire.bytes_received}")
        table.add_row(*cells)
    return table


def _stages(results: Results) -> Table:
    """Where the CPU's time goes."""
    table = _table("CPU time, us a statement", "", *STAGES)
    for name, own in results.stages.items():
        table.add_row(name, *(f"{own[s] * 1e6:.1f}" if s in own else "-" for s in STAGES))
    return table


def _memory(results: Results) -> Table:
    """What a batch takes."""
    table = _table("memory beyond the parameters", "statements", "Python", "resident")
    for one in results.memory:
        table.add_row(str(one.statements), f"{one.traced:.0f} B", f"{one.resident:.0f} B")
    return table


def _aims(results: Results) -> Table:
    """What is aimed at, and what was seen."""
    table = _table("aims", "", "aim", "seen", "middle half", "")
    for aim in AIMS:
        seen = aim.seen(results)
        if seen is None:
            table.add_row(aim.words, aim.limit, "-", "-", "not measured")
        else:
            verdict = "held" if aim.holds(seen) else "[bold]missed[/bold]"
            table.add_row(aim.words, aim.limit, f"{seen.middle:.2f}", _half(seen, 1, 2), verdict)
    return table


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for other in others:
        table.add_column(other, justify="right")
    return table


def _half(spread: Spread, unit: float, digits: int) -> str:
    return f"{spread.low * unit:.{digits}f} - {spread.high * unit:.{digits}f}"


if __name__ == "__main__":
    print("\n".join(show(Results.load(Path(sys.argv[1])), colours=sys.stdout.isatty())))
