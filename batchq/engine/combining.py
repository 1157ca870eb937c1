# SPDX-License-Identifier: MIT
"""Combine the results of the statements of a batch into its own.

All results are in one list. It begins with those of the statements, in the order of the batch. What
is made of others is put in from the end: so each has a place before the number of statements is
known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from batchq.language.combining import Combining
from batchq.language.takes import picker

Pick = Callable[[Sequence[Any]], Any]
"""Picks results from all."""
Making = tuple[Pick, Callable[..., Any], bool]
"""How a result is made: what picks others, a function of them, and whether it takes each as an
argument."""


def add_making(makings: list[Making], places: Sequence[int], combining: Combining) -> int:
    """Add how the result of a composite is made; return its place.

    :param places: those of the results of its parts.
    """
    function, spreads, first = combining
    if function is None:
        return places[first]
    if first:
        places = places[first:]
    if len(places) > 1:
        makings.append((itemgetter(*places), function, spreads))
    elif places and spreads:
        makings.append((itemgetter(places[0]), function, False))  # without a tuple of one
    else:
        makings.append((picker(places), function, spreads))
    return -len(makings)


def combined(
    in_order: Pick | None, makings: Sequence[Making], place: int, results: Sequence[Any]
) -> Any:
    """Return the result of a batch, from those of its statements.

    :param in_order: picks these in the order of the batch; None if they are in that order.
    :param makings: how the others are made, in order.
    :param place: that of the batch's own result.
    """
    values = [*(results if in_order is None else in_order(results))]
    values += [None] * len(makings)
    made = 0
    for pick, function, spreads in makings:
        made -= 1
        values[made] = function(*pick(values)) if spreads else function(pick(values))
    return values[place]
