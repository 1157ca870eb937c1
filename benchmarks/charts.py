# SPDX-License-Identifier: MIT
"""Draw the charts of a run: by distance, by the size of a batch, by the number of callers.

``python -m benchmarks.charts RESULTS.json DIRECTORY`` writes SVG and PNG of what there are figures
for. Lines are distinct in black and white; a peer has the same marker and kind of line in all
charts, and the legend names the lines in the order in which they end.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path

import matplotlib as mpl
from attrs import field, frozen
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from benchmarks.cases import ALL, FAILING
from benchmarks.interleave import Spread
from benchmarks.measure import Result, Settings
from benchmarks.pytest_adapter import load

Lines = Mapping[str, Sequence[tuple[float, Spread]]]
"""The points of each peer: what was measured at each place of the axis."""

_SOCKET = 0.0002
"""The place of the server's own socket on the axis of seconds: a logarithmic axis has no 0."""

_LINES, _MARKERS, _COLOURS = ("-", "--", "-.", ":"), "osD^v<>Xp*hPd", mpl.color_sequences["tab20"]
# 13 markers, and 4 kinds of lines: it takes 52 peers until two look alike.
_numbers = count()
_STYLES: dict[str, int] = {peer.name: next(_numbers) for peer in ALL}


@frozen
class Panel:
    """One of the axes of a chart: a workload along one of its settings, the others being fixed."""

    label: str
    workload: str
    axis: str
    others: Settings = field(factory=dict)

    def lines(self, results: Sequence[Result], shown: Callable[[float, float], float]) -> Lines:
        """Collect what was measured."""
        lines: dict[str, list[tuple[float, Spread]]] = {}
        for result in results:
            rest = {name: value for name, value in result.settings.items() if name != self.axis}
            if result.workload != self.workload or rest != self.others:
                continue
            place = float(result.settings.get(self.axis, _SOCKET))
            for peer, costs in result.samples.costs.items():
                if peer != FAILING:
                    spread = Spread.of([shown(cost.wall, place) for cost in costs])
                    unit = 1e3 if self.axis == "rtt" else 1
                    lines.setdefault(peer, []).append((place * unit, spread))
        return {peer: sorted(own, key=lambda point: point[0]) for peer, own in lines.items()}


@frozen
class Chart:
    """A file: its panels side by side.

    Attributes:
        up: the label of the axis that the panels share.
        shown: makes the figure of the seconds of a call and the place on the panel's axis.
    """

    name: str
    title: str
    up: str
    shown: Callable[[float, float], float]
    panels: Sequence[Panel]


def _milliseconds(wall: float, _: float) -> float:
    return wall * 1e3


def _rate(wall: float, _: float) -> float:
    return 1 / wall


def _each(wall: float, place: float) -> float:
    return wall / place * 1e6


_DISTANCE = Panel("round trip (ms)", "project_create", "rtt")
_SIZE = Panel("statements in a batch", "inserts", "statements")
_NEAR = Panel("workers, unix socket", "charges", "workers")
_FAR = Panel("workers, RTT 1 ms", "charges", "workers", {"rtt": 0.001})
_THREADS = Panel("threads", "throughput of threads", "threads")
_TASKS = Panel("tasks", "throughput of tasks", "tasks")

_TITLE = "project_create, by distance from the server"
_MANY, _FOUR = "one counter, many workers", "project_create on 4 connections"
CHARTS = (
    Chart("distance", _TITLE, "project_create (ms)", _milliseconds, [_DISTANCE]),
    Chart("batch-size", "inserts, by size of the batch", "ms a batch", _milliseconds, [_SIZE]),
    Chart("statement-cost", "inserts, by the statement", "us a statement", _each, [_SIZE]),
    Chart("contention", _MANY, "charges a second, by all workers", _rate, [_NEAR, _FAR]),
    Chart("throughput", _FOUR, "batches a second", _rate, [_THREADS, _TASKS]),
)


def main(results: Sequence[Result], directory: Path) -> None:
    """Draw what there are figures for.

    The files depend on the figures alone: they have no dates and no random ids.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for chart in CHARTS:
        panels = {panel.label: panel.lines(results, chart.shown) for panel in chart.panels}
        panels = {label: lines for label, lines in panels.items() if lines}
        if panels:
            path = directory / chart.name
            figure = draw(chart, panels)
            with mpl.rc_context({"svg.hashsalt": "batchq", "svg.fonttype": "none"}):
                figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
                figure.savefig(path.with_suffix(".png"), dpi=150, metadata={"Software": None})


def draw(chart: Chart, panels: Mapping[str, Lines]) -> Figure:
    """Draw panels side by side, with logarithmic axes that show plain numbers."""
    figure = Figure(figsize=(4.5 + 4.5 * len(panels), 5.5), layout="constrained")
    scales = {"xscale": "log", "yscale": "log"}
    made = figure.subplots(1, len(panels), sharey=True, squeeze=False, subplot_kw=scales)
    figure.suptitle(chart.title)
    made[0][0].set_ylabel(chart.up)
    named: dict[str, Artist] = {}
    for axes, (label, lines) in zip(made[0], panels.items(), strict=True):
        axes.set_xlabel(label)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:,g}")
        axes.grid(visible=True, which="major", linewidth=0.4)
        axes.minorticks_off()
        _draw_lines(axes, lines)
        handles, labels = axes.get_legend_handles_labels()
        named.update(zip(labels, handles, strict=True))
    ends = {peer: points[-1][1].middle for own in panels.values() for peer, points in own.items()}
    order = sorted(named, key=lambda peer: -ends[peer])
    figure.legend([named[peer] for peer in order], order, loc="outside right center", frameon=False)
    return figure


def _draw_lines(axes: Axes, lines: Lines) -> None:
    """Draw one line a peer, with the middle half as bars."""
    for peer, points in lines.items():
        style = _STYLES.setdefault(peer, next(_numbers))
        middle = [spread.middle for _, spread in points]
        low = [spread.middle - spread.low for _, spread in points]
        high = [spread.high - spread.middle for _, spread in points]
        axes.errorbar(
            [place for place, _ in points],
            middle,
            yerr=[low, high],
            label=peer,
            marker=_MARKERS[style % len(_MARKERS)],
            linestyle=_LINES[style % len(_LINES)],
            color=_COLOURS[style % len(_COLOURS)],
            markeredgecolor="black",
            markersize=6,
            linewidth=2.5 if style == 0 else 1.2,
            elinewidth=0.8,
        )
    places = sorted({place for points in lines.values() for place, _ in points})
    texts = ["unix socket" if place == _SOCKET * 1e3 else f"{place:,g}" for place in places]
    axes.set_xticks(places, texts)


if __name__ == "__main__":
    main(load(Path(sys.argv[1]))[1], Path(sys.argv[2]))
