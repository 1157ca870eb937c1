# SPDX-License-Identifier: MIT
"""Charts of a run: ``python -m benchmarks.charts RESULTS.json DIRECTORY`` writes SVG and PNG.

They are read in black and white as well: each peer has a marker and a kind of line of its own, and
stands in the legend in the order in which the lines end.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.measure import Spread
from benchmarks.peers.all import PEERS
from benchmarks.results import Results

Points = list[tuple[float, Spread]]
"""What was seen at each place of the axis."""

_LINES = ("-", "--", "-.", ":")
_MARKERS = "osD^v<>Xp*hP"
_COLOURS = mpl.color_sequences["tab20"]

_SOCKET = 0.2
"""Where on the axis of milliseconds the server's own socket stands: a logarithmic one has no 0."""


def main(results: Results, directory: Path) -> None:
    """Draw what there are figures for."""
    directory.mkdir(parents=True, exist_ok=True)
    if distances := _by_rtt(results):
        figure, axes = _axes("round trip (ms)", "project_create (ms)")
        _lines(axes, distances)
        places = sorted({place for points in distances.values() for place, _ in points})
        words = ["unix socket" if place == _SOCKET else f"{place:g}" for place in places]
        axes.set_xticks(places, words)
        axes.set_title("project_create, by distance from the server")
        _write(figure, directory / "distance")


def _by_rtt(results: Results) -> dict[str, Points]:
    """Milliseconds by milliseconds of round trip, for each peer."""
    lines: dict[str, Points] = {}
    for result in results.measured:
        if result.workload == "project_create":
            place = float(result.settings.get("rtt", _SOCKET / 1e3)) * 1e3
            for peer in result.samples.costs:
                wall = result.samples.wall(peer)
                spread = Spread(wall.low * 1e3, wall.middle * 1e3, wall.high * 1e3)
                lines.setdefault(peer, []).append((place, spread))
    return {peer: sorted(points, key=lambda point: point[0]) for peer, points in lines.items()}


def _axes(across: str, up: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.add_subplot(xscale="log", yscale="log", xlabel=across, ylabel=up)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(visible=True, which="major", linewidth=0.4)
    axes.minorticks_off()
    return figure, axes


def _lines(axes: Axes, lines: Mapping[str, Points]) -> None:
    """One line a peer, with the middle half as bars; whoever ends highest is named first."""
    styles = dict(zip(PEERS, zip(_MARKERS, cycle(_LINES), _COLOURS, strict=False), strict=False))
    for peer, points in sorted(lines.items(), key=lambda line: -line[1][-1][1].middle):
        marker, line, colour = styles[peer]
        middle = [spread.middle for _, spread in points]
        axes.errorbar(
            [place for place, _ in points],
            middle,
            yerr=[
                [spread.middle - spread.low for _, spread in points],
                [spread.high - spread.middle for _, spread in points],
            ],
            label=peer,
            marker=marker,
            linestyle=line,
            color=colour,
            markeredgecolor="black",
            markersize=6,
            linewidth=2.5 if peer == next(iter(PEERS)) else 1.2,
            elinewidth=0.8,
        )
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def _write(figure: Figure, path: Path) -> None:
    # The same file for the same figures: no date and no random ids in it.
    with mpl.rc_context({"svg.hashsalt": "batchq", "svg.fonttype": "none"}):
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
        figure.savefig(path.with_suffix(".png"), dpi=150, metadata={"Software": None})


if __name__ == "__main__":
    main(Results.load(Path(sys.argv[1])), Path(sys.argv[2]))
