# SPDX-License-Identifier: MIT
"""Decide which scheduled statements of a batch run, and in what order."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import combinations
from operator import itemgetter
from typing import Any

from batchq.language.parameters import Parameter
from batchq.language.placement import Key, Scheduled

Postponed = tuple[Scheduled[Any, Any], int, int]
"""A statement that does not run at its place: its place among the leaves, and the position of the
instruction that takes its result."""


def runs_here(scheduled: Scheduled[Any, Any], keys: set[Hashable]) -> bool:
    """Return whether a scheduled statement runs at its place in the batch.

    :param keys: the keys of the statements so far, which is brought up to date.
    """
    return scheduled.run_last is None and not _is_duplicate(scheduled, keys)


def in_order(postponed: list[Postponed], keys: set[Hashable]) -> Iterator[Postponed]:
    """Yield the statements that run last, by their order, and by the batch's order among equals."""
    # Parameters in keys are the same ones; else the batch would be planned as built.
    last = [
        ([part if isinstance(part, Parameter) else str(part) for part in key], item)
        for item in postponed
        if (key := item[0].run_last) is not None
    ]
    for _, item in sorted(last, key=itemgetter(0)):  # a stable sort
        if not _is_duplicate(item[0], keys):
            yield item


def _is_duplicate(scheduled: Scheduled[Any, Any], keys: set[Hashable]) -> bool:
    """Return whether a statement with the same key has run since the last reset of that key."""
    keys.discard(scheduled.resets)
    if scheduled.dedupe_key is None:
        return False
    is_duplicate = scheduled.dedupe_key in keys
    keys.add(scheduled.dedupe_key)
    return is_duplicate


def depends_on_values(scheduled: Sequence[Scheduled[Any, Any]]) -> bool:
    """Return whether values decide which of the statements of a declaration run, or in what order.

    They do if two keys with parameters may be equal, or are to be put in order.
    """
    once = [key for each in scheduled for key in (each.dedupe_key, each.resets) if key is not None]
    last = [each.run_last for each in scheduled if each.run_last is not None]
    is_equality_open = any(_is_equality_open(*pair) for pair in combinations(once, 2))
    return is_equality_open or any(_is_order_open(*pair) for pair in combinations(last, 2))


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
