# SPDX-License-Identifier: MIT
"""Charts of a run: by distance, by the size of a batch, by how many are at it.

``python -m benchmarks.charts RESULTS.json DIRECTORY`` writes SVG and PNG of what there are figures
for.
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

_SOCKET = 0.2
"""Where on the axis of milliseconds the server's own socket stands: a logarithmic one has no 0."""


def main(results: Results, directory: Path) -> None:
    """Draw what there are figures for."""
    directory.mkdir(parents=True, exist_ok=True)
    _distance(results, directory / "distance")
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


def _distance(results: Results, path: Path) -> None:
    lines: dict[str, list[tuple[float, Spread]]] = {}
    for result in results.measured:
        if result.workload == "project_create":
            place = float(result.settings.get("rtt", _SOCKET / 1e3)) * 1e3
            for peer in result.samples.costs:
                wall = result.samples.wall(peer)
                spread = Spread(wall.low * 1e3, wall.middle * 1e3, wall.high * 1e3)
                lines.setdefault(peer, []).append((place, spread))
    if not lines:
        return
    for points in lines.values():
        points.sort(key=lambda point: point[0])
    figure, (axes,) = panels(
        "project_create, by distance from the server", ["round trip (ms)"], "project_create (ms)"
    )
    draw(axes, lines)
    places = sorted({place for points in lines.values() for place, _ in points})
    words = ["unix socket" if place == _SOCKET else f"{place:g}" for place in places]
    axes.set_xticks(places, words)
    name_lines(figure, [lines])
    write(figure, path)


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
