# SPDX-License-Identifier: MIT
"""How charts look: lines that are told apart in black and white, with what was seen as bars.

A peer has the same marker and kind of line in all charts; the legend names the lines in the order
in which they end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from benchmarks.measure import Spread
from benchmarks.peers.all import PEERS

Points = Sequence[tuple[float, Spread]]
"""What was seen at each place of the axis."""

_LINES = ("-", "--", "-.", ":")
_MARKERS = "osD^v<>Xp*hPd"
# 13, and 4 kinds of lines: it takes 52 peers until two look alike.
_COLOURS = mpl.color_sequences["tab20"]
_numbers = count()
_STYLES: dict[str, int] = {peer: next(_numbers) for peer in PEERS}


def panels(title: str, across: Sequence[str], up: str) -> tuple[Figure, list[Axes]]:
    """Make a figure with charts side by side, with logarithmic axes that show plain numbers.

    :param title: of the whole.
    :param across: what each one's axis shows.
    :param up: what the axis that they share shows.
    """
    figure = Figure(figsize=(4.5 + 4.5 * len(across), 5.5), layout="constrained")
    scales = {"xscale": "log", "yscale": "log"}
    made = figure.subplots(1, len(across), sharey=True, squeeze=False, subplot_kw=scales)
    charts: list[Axes] = list(made[0])
    for axes, label in zip(charts, across, strict=True):
        axes.set_xlabel(label)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:,g}")
        axes.grid(visible=True, which="major", linewidth=0.4)
        axes.minorticks_off()
    charts[0].set_ylabel(up)
    figure.suptitle(title)
    return figure, charts


def draw(axes: Axes, lines: Mapping[str, Points]) -> None:
    """Draw one line a peer, with the middle half as bars."""
    for peer, points in lines.items():
        style = _STYLES.setdefault(peer, next(_numbers))
        middle = [spread.middle for _, spread in points]
        axes.errorbar(
            [place for place, _ in points],
            middle,
            yerr=[
                [spread.middle - spread.low for _, spread in points],
                [spread.high - spread.middle for _, spread in points],
            ],
            label=peer,
            marker=_MARKERS[style % len(_MARKERS)],
            linestyle=_LINES[style % len(_LINES)],
            color=_COLOURS[style % len(_COLOURS)],
            markeredgecolor="black",
            markersize=6,
            linewidth=2.5 if peer == next(iter(PEERS)) else 1.2,
            elinewidth=0.8,
        )
    places = sorted({place for points in lines.values() for place, _ in points})
    axes.set_xticks(places, [f"{place:,g}" for place in places])


def name_lines(figure: Figure, lines: Sequence[Mapping[str, Points]]) -> None:
    """Name the lines beside all charts; whoever ends highest in the last one comes first."""
    named: dict[str, Artist] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        named.update(zip(labels, handles, strict=True))
    ends = {peer: points[-1][1].middle for own in lines for peer, points in own.items()}
    order = sorted(named, key=lambda peer: -ends[peer])
    figure.legend([named[peer] for peer in order], order, loc="outside right center", frameon=False)


def write(figure: Figure, path: Path) -> None:
    """Write an SVG and a PNG, the same ones for the same figures: without dates and random ids."""
    with mpl.rc_context({"svg.hashsalt": "batchq", "svg.fonttype": "none"}):
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
        figure.savefig(path.with_suffix(".png"), dpi=150, metadata={"Software": None})
