# SPDX-License-Identifier: MIT
"""Print the tables of a run: times and ratios, the wire, and the targets.

``python -m benchmarks.report RESULTS.json``, the file that pytest-benchmark has written.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import frozen
from rich.console import Console
from rich.table import Table

from benchmarks.cases import BASELINE, FAILING, RTTS, SUCCEEDING
from benchmarks.interleave import Spread
from benchmarks.measure import Result, Settings, title
from benchmarks.peers.asyncpg import Asyncpg
from benchmarks.peers.batchq import Batchq
from benchmarks.peers.one_statement import Cte, Plpgsql
from benchmarks.peers.psycopg3 import Pipeline, Queued, Transaction
from benchmarks.peers.sqlalchemy import Core, Orm
from benchmarks.pytest_adapter import load
from benchmarks.workloads.guards import GUARDS, PLAIN
from benchmarks.workloads.projects import PLACES

_WIDTH = 160


@frozen
class Target:
    """A ratio of two sides of one case, and where its median should be.

    Attributes:
        of, to: how many times as long the first one takes as the second.
        at_most, at_least: the limit; one of the two.
    """

    workload: str
    settings: Settings
    of: str
    to: str
    at_most: float | None = None
    at_least: float | None = None

    def row(self, results: Sequence[Result]) -> tuple[str, ...] | None:
        """Return the target's row of the table; None if it was not measured."""
        case = title(self.workload, self.settings)
        limit = f"<= {self.at_most}" if self.at_least is None else f">= {self.at_least}"
        name = f"{case}: {self.of} / {self.to}"
        found = next((result for result in results if result.title == case), None)
        if found is None or not {self.of, self.to} <= found.samples.costs.keys():
            return None
        ratio = found.samples.ratio(self.of, to=self.to)
        low, high = self.at_least or 0.0, self.at_most or float("inf")
        verdict = "met" if low <= ratio.middle <= high else "[bold]missed[/bold]"
        return name, limit, f"{ratio.middle:.2f}", _half(ratio, 1, 2), verdict


def _targets() -> Iterator[Target]:
    mine, create = Batchq.name, "project_create"
    for peer, limit in ((BASELINE, 1.1), (Cte.name, 1.2), (Plpgsql.name, 1.2)):
        yield Target(create, {}, mine, peer, at_most=limit)
    for slower in (Queued, Pipeline, Transaction, Asyncpg, Core, Orm):
        yield Target(create, {}, mine, slower.name, at_most=1.0)
    for at in PLACES:
        yield Target("failing", {"at": at}, mine, SUCCEEDING, at_most=1.1)
    for form in GUARDS:
        for size in (1, 8, 50) if form != PLAIN else ():
            yield Target("guards", {"updates": size}, form, PLAIN, at_most=1.15)
    yield Target("inserts", {"statements": 10_000}, BASELINE, mine, at_least=0.9)
    yield Target("throughput of tasks", {"tasks": 16}, BASELINE, mine, at_least=0.9)
    for rtt in RTTS[1:]:
        far = {"rtt": rtt}
        yield Target(create, far, mine, Plpgsql.name, at_most=1.05)
        yield Target(create, far, Transaction.name, mine, at_least=6.0)
        yield Target(create, far, Pipeline.name, mine, at_least=3.5)
        yield Target(create, far, FAILING, mine, at_most=1.1)


def tables(results: Sequence[Result]) -> Iterator[Table]:
    """Make all tables that there are figures for."""
    for result in results:
        yield _compared(result)
    targets = new_table("targets", "", "target", "ratio", "middle half", "")
    for target in _targets():
        if (row := target.row(results)) is not None:
            targets.add_row(*row)
    yield targets


def _compared(result: Result) -> Table:
    """Compare each side with the baseline."""
    samples = result.samples
    baseline = BASELINE if BASELINE in samples.costs else next(iter(samples.costs))
    table = new_table(result.title, "", "us a call", "middle half", f"/ {baseline}", "middle half")
    for column in ("CPU us", *(("flights", "messages", "bytes") if result.wires else ())):
        table.add_column(column, justify="right")
    for name in samples.costs:
        wall, cpu = samples.wall(name), samples.cpu(name)
        ratio = samples.ratio(name, to=baseline)
        cells = [name, f"{wall.middle * 1e6:.0f}", _half(wall, 1e6, 0)]
        cells += [f"{ratio.middle:.2f}", _half(ratio, 1, 2)]
        cells.append(f"{cpu.middle * 1e6:.0f}" if cpu else "-")
        if (wire := result.wires.get(name)) is not None:
            cells.append(str(wire.flights))
            cells.append(f"{wire.messages_sent} + {wire.messages_received}")
            cells.append(f"{wire.bytes_sent} + {wire.bytes_received}")
        table.add_row(*cells)
    return table


def new_table(name: str, *columns: str) -> Table:
    """Return a table whose first column is of names, and the others of figures."""
    table = Table(title=name, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def _half(spread: Spread, unit: float, digits: int) -> str:
    return f"{spread.low * unit:.{digits}f} - {spread.high * unit:.{digits}f}"


def main(path: Path) -> None:
    """Print all tables."""
    environment, results = load(path)
    console = Console(width=_WIDTH)
    for name, words in environment.items():
        console.print(f"{name + ':':19}{words}", highlight=False)
    for table in tables(results):
        console.print()
        console.print(table)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
