# SPDX-License-Identifier: MIT
"""Charts of what happens when there is more to do: larger batches, more workers, more at once.

``python -m benchmarks.load_charts RESULTS.json DIRECTORY`` writes SVG and PNG of what there are
figures for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.look import Points, draw, name_lines, panels, write
from benchmarks.measure import Spread
from benchmarks.results import Results, Settings
from benchmarks.workloads.charges import CHARGES
from benchmarks.workloads.inserts import INSERTS
from benchmarks.workloads.serving import TASKS, THREADS

Lines = Mapping[str, Points]


def main(results: Results, directory: Path) -> None:
    """Draw what there are figures for."""
    directory.mkdir(parents=True, exist_ok=True)
    latency = _lines(results, INSERTS, "statements", lambda wall, _: wall * 1e3)
    each = _lines(results, INSERTS, "statements", lambda wall, place: wall / place * 1e6)
    sizes = {"statements in a batch": latency}
    _chart("inserts, by size of the batch", sizes, "ms a batch", directory / "batch-size")
    sizes = {"statements in a batch": each}
    _chart("inserts, by the statement", sizes, "us a statement", directory / "statement-cost")
    _chart(
        "one counter",
        {
            "workers, unix socket": _lines(results, CHARGES, "workers", _rate, {}),
            "workers, RTT 1 ms": _lines(results, CHARGES, "workers", _rate, {"rtt": 0.001}),
        },
        "charges a second, by all workers",
        directory / "contention",
    )
    _chart(
        "project_create on 4 connections",
        {
            "threads": _lines(results, THREADS, "threads", _rate),
            "tasks": _lines(results, TASKS, "tasks", _rate),
        },
        "batches a second",
        directory / "throughput",
    )


def _rate(wall: float, _: float) -> float:
    return 1 / wall


def _lines(
    results: Results,
    workload: str,
    axis: str,
    shown: Callable[[float, float], float],
    others: Settings | None = None,
) -> Lines:
    """What was seen of a workload along one of its settings.

    :param shown: what is made of the seconds of a call and the place on the axis.
    :param others: the other settings.
    """
    lines: dict[str, list[tuple[float, Spread]]] = {}
    for result in results.measured:
        rest = {name: value for name, value in result.settings.items() if name != axis}
        if result.workload == workload and rest == (others or {}):
            place = float(result.settings[axis])
            for peer, costs in result.samples.costs.items():
                spread = Spread.of([shown(cost.wall, place) for cost in costs])
                lines.setdefault(peer, []).append((place, spread))
    return {peer: sorted(points, key=lambda point: point[0]) for peer, points in lines.items()}


def _chart(title: str, lines: Mapping[str, Lines], up: str, path: Path) -> None:
    """Draw charts side by side, one for each axis."""
    there = {axis: own for axis, own in lines.items() if own}
    if not there:
        return
    figure, charts = panels(title, list(there), up)
    for axes, own in zip(charts, there.values(), strict=True):
        draw(axes, own)
    name_lines(figure, list(there.values()))
    write(figure, path)


if __name__ == "__main__":
    main(Results.load(Path(sys.argv[1])), Path(sys.argv[2]))
