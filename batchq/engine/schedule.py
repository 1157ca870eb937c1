# SPDX-License-Identifier: MIT
"""Decide which scheduled statements of a batch run, and in what order."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations
from typing import Any

from batchq.engine.sameness import are_same
from batchq.language.errors import InvalidBatch
from batchq.language.parameters import Parameter
from batchq.language.placement import Key, Scheduled


def running_order(
    scheduled: Mapping[int, Scheduled[Any, Any]], count: int
) -> tuple[Sequence[int], Mapping[int, int]]:
    """Return the places of the statements that run, in order, and which others have run for which.

    :param scheduled: the scheduled statements, by their places in the batch.
    :param count: the number of all statements.
    :return: places in the batch; and for each statement that does not run because one with its key
        has run, the place of that one.
    :raises InvalidBatch: if one with its key is not the same, but has to be.
    """
    places: Sequence[int] = range(count)
    firsts = [place for place, each in scheduled.items() if each.is_first]
    lasts = [place for place, each in scheduled.items() if each.last_key is not None]
    if firsts != [*range(len(firsts))] or lasts not in ([], [count - 1]):
        # A stable sort: the order of the batch decides among equals.
        places = sorted(places, key=lambda place: _rank(scheduled.get(place)))
    keys, others = Keys(), dict[int, int]()
    for place in scheduled if isinstance(places, range) else places:
        if place in scheduled:
            earlier = keys.earlier(scheduled[place], place)
            if earlier is not None:
                others[place] = earlier
    return [place for place in places if place not in others] if others else places, others


def _rank(scheduled: Scheduled[Any, Any] | None) -> tuple[int, list[object]]:
    if scheduled is not None and scheduled.is_first:
        return 0, []
    if scheduled is None or scheduled.last_key is None:
        return 1, []
    # Parameters in keys are the same ones; else the batch would be planned as built.
    return 2, [part if isinstance(part, Parameter) else str(part) for part in scheduled.last_key]


class Keys:
    """The keys of the scheduled statements so far, and which statement has run for each."""

    def __init__(self) -> None:
        self._ran: dict[Hashable, tuple[Scheduled[Any, Any], int]] = {}

    def earlier(self, scheduled: Scheduled[Any, Any], place: int) -> int | None:
        """Return the place of the statement that has run for the same key; else record this one.

        :param place: that of this statement.
        :raises InvalidBatch: if the other one is not the same statement, but has to be.
        """
        if scheduled.resets is not None:
            self._ran.pop(scheduled.resets, None)
        if scheduled.dedupe_key is None:
            return None
        found = self._ran.get(scheduled.dedupe_key)
        if found is None:
            self._ran[scheduled.dedupe_key] = scheduled, place
            return None
        first, earlier = found
        if scheduled.must_be_equal and not are_same(first.statement, scheduled.statement):
            titles = first.statement.title, scheduled.statement.title
            raise InvalidBatch(
                f"run_once(): two statements with one key are not the same SQL with the same "
                f"result and values: {titles[0]}, and {titles[1]}; give each its own key, such as "
                f"a tuple with the value in which they differ"
            )
        return earlier


def depends_on_values(scheduled: Sequence[Scheduled[Any, Any]]) -> bool:
    """Return whether values decide which of the statements of a declaration run, or in what order.

    They do if two keys with parameters may be equal, or are to be put in order; or if two
    statements with one key have to be equal, and only values show if they are.
    """
    once = [key for each in scheduled for key in (each.dedupe_key, each.resets) if key is not None]
    last = [each.last_key for each in scheduled if each.last_key is not None]
    equal = [each for each in scheduled if each.must_be_equal]
    return (
        any(_is_equality_open(*pair) for pair in combinations(once, 2))
        or any(_is_order_open(*pair) for pair in combinations(last, 2))
        or any(_is_sameness_open(*pair) for pair in combinations(equal, 2))
    )


def _is_equality_open(one: Key, other: Key) -> bool:
    """Return whether it is open if two keys are equal."""
    if len(one) != len(other) or one is other:
        return False
    is_open = False
    for mine, others in zip(one, other, strict=True):
        if mine is others:
            continue
        if isinstance(mine, Parameter) or isinstance(others, Parameter):
            is_open = True
        elif mine != others:
            return False
    return is_open


def _is_order_open(one: Key, other: Key) -> bool:
    """Return whether it is open which of two keys is the first: a parameter decides it."""
    for mine, others in zip(one, other, strict=False):
        if mine is others:
            continue
        if isinstance(mine, Parameter) or isinstance(others, Parameter):
            return True
        if mine != others:
            return False
    return False  # as one begins with the other, its length decides


def _is_sameness_open(one: Scheduled[Any, Any], other: Scheduled[Any, Any]) -> bool:
    """Return whether it is open if two statements with one key have the same values."""
    if not _are_certainly_equal(one.dedupe_key or (), other.dedupe_key or ()):
        return False
    pairs = zip(one.statement._values, other.statement._values, strict=False)
    return any(
        mine is not others and (isinstance(mine, Parameter) or isinstance(others, Parameter))
        for mine, others in pairs
    )


def _are_certainly_equal(one: Key, other: Key) -> bool:
    """Return whether two keys are equal whatever values are bound."""
    return len(one) == len(other) and all(
        mine is others
        or not (isinstance(mine, Parameter) or isinstance(others, Parameter) or mine != others)
        for mine, others in zip(one, other, strict=True)
    )
