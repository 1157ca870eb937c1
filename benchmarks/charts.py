# SPDX-License-Identifier: MIT
"""Draw the charts of a run: by distance, by the size of a batch, by the number of callers.

``python -m benchmarks.charts RESULTS.json DIRECTORY`` writes SVG and PNG of what there are figures
for. Lines are distinct in black and white; a peer has the same marker and kind of line in all
charts, and the legend names the lines in the order in which they end.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from attrs import field, frozen
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from benchmarks.cases import ALL
from benchmarks.interleave import Spread
from benchmarks.results import Result, Settings, load
from benchmarks.workloads import FORMS

_SOCKET = 0.0002
"""The place of the server's own socket on the axis of seconds: a logarithmic axis has no 0."""

_LINES, _MARKERS, _COLOURS = ("-", "--", "-.", ":"), "osD^v<>Xp*hPd", mpl.color_sequences["tab20"]
# 13 markers, and 4 kinds of lines: it takes 52 peers until two look alike.
_styles = {name: number for number, name in enumerate((*FORMS, *(peer.name for peer in ALL)))}

Lines = Mapping[str, Sequence[tuple[float, Spread]]]
"""The points of each peer: what was measured at each place of the axis."""


@frozen
class Chart:
    """A file: a workload along one of its settings, the others being fixed.

    Attributes:
        across, up: the labels of the axes.
        shown: makes the figure of the seconds of a call and the place on the axis.
        unit: of the axis.
    """

    name: str
    title: str
    workload: str
    axis: str
    across: str
    up: str
    shown: Callable[[float, float], float]
    unit: float = 1
    others: Settings = field(factory=dict)

    def lines(self, results: Sequence[Result]) -> Lines:
        """Collect what was measured."""
        lines: dict[str, list[tuple[float, Spread]]] = defaultdict(list)
        for result in results:
            rest = {name: value for name, value in result.settings.items() if name != self.axis}
            if result.workload == self.workload and rest == self.others:
                place = float(result.settings.get(self.axis, _SOCKET)) * self.unit
                for peer in result.samples.costs:
                    seconds = result.samples.seconds(peer)
                    spread = Spread.of([self.shown(wall, place) for wall in seconds])
                    lines[peer].append((place, spread))
        return {peer: sorted(own, key=lambda point: point[0]) for peer, own in lines.items()}

    def draw(self, lines: Lines) -> Figure:
        """Draw a line a peer, with its spread as bars, on logarithmic axes with plain numbers."""
        figure = Figure(figsize=(9, 5.5), layout="constrained")
        axes = figure.subplots(subplot_kw={"xscale": "log", "yscale": "log"})
        figure.suptitle(self.title)
        axes.set_xlabel(self.across)
        axes.set_ylabel(self.up)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:,g}")
        axes.grid(visible=True, which="major", linewidth=0.4)
        for peer, points in sorted(lines.items(), key=lambda line: -line[1][-1][1].middle):
            style = _styles.setdefault(peer, len(_styles))
            around = [(each.middle - each.low, each.high - each.middle) for _, each in points]
            axes.errorbar(
                [place for place, _ in points],
                [spread.middle for _, spread in points],
                yerr=[*zip(*around, strict=True)],
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
        socket = _SOCKET * self.unit
        texts = ["unix socket" if place == socket else f"{place:,g}" for place in places]
        axes.set_xticks(places, texts)
        axes.minorticks_off()
        figure.legend(loc="outside right center", frameon=False)
        return figure


_SIZE = ("inserts", "statements", "statements in a batch")
CHARTS = (
    Chart(
        *("distance", "project_create, by distance from the server"),
        *("project_create", "rtt", "round trip (ms)", "project_create (ms)"),
        lambda wall, _: wall * 1e3,
        unit=1e3,
    ),
    Chart(
        *("batch-size", "inserts, by size of the batch", *_SIZE, "ms a batch"),
        lambda wall, _: wall * 1e3,
    ),
    Chart(
        *("statement-cost", "inserts, by the statement", *_SIZE, "us a statement"),
        lambda wall, size: wall / size * 1e6,
    ),
    Chart(
        *("contention", "one counter, many processes, RTT 1 ms"),
        *("charges", "processes", "processes", "charges a second, by all"),
        lambda wall, _: 1 / wall,
        others={"rtt": 0.001},
    ),
    Chart(
        *("throughput", "project_create on 4 connections"),
        *("throughput", "tasks", "tasks", "batches a second"),
        lambda wall, _: 1 / wall,
    ),
)


def main(results: Sequence[Result], directory: Path) -> None:
    """Draw what there are figures for.

    The files depend on the figures alone: they have no dates and no random ids.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for chart in CHARTS:
        if lines := chart.lines(results):
            path = directory / chart.name
            figure = chart.draw(lines)
            with mpl.rc_context({"svg.hashsalt": "batchq", "svg.fonttype": "none"}):
                figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
                figure.savefig(path.with_suffix(".png"), dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    main(load(Path(sys.argv[1]))[1], Path(sys.argv[2]))
