# SPDX-License-Identifier: MIT
"""Turns, samples and what is made of them."""

from __future__ import annotations

import gc

import pytest

from benchmarks.measure import Cost, Samples, Spread, interleave


def test_sides_take_turns_and_each_round_begins_with_another_one():
    seen = []
    sides = {name: lambda numbers, name=name: seen.append((name, numbers)) for name in "ab"}
    interleave(sides, rounds=2, calls=3, warm_up=1, first=10)
    assert seen == [
        ("a", range(10, 11)),
        ("b", range(10, 11)),
        ("a", range(11, 14)),
        ("b", range(11, 14)),
        ("b", range(14, 17)),
        ("a", range(14, 17)),
    ]


def test_the_garbage_collector_is_off_in_a_turn_and_on_again_behind_it():
    seen = []
    interleave({"a": lambda _: seen.append(gc.isenabled())}, rounds=1, calls=1, warm_up=0)
    assert (seen, gc.isenabled()) == ([False], True)


def test_who_has_a_clock_of_its_own_is_believed():
    samples = interleave({"a": lambda _: 42.0}, rounds=2, calls=5, warm_up=0)
    assert samples.costs == {"a": [Cost(42.0, None)] * 2}
    assert samples.cpu("a") is None


def test_sides_are_compared_round_by_round():
    samples = Samples(
        {
            "a": [Cost(wall, wall) for wall in (2.0, 40.0, 3.0)],  # the machine was busy
            "b": [Cost(wall, wall) for wall in (1.0, 20.0, 2.0)],
        }
    )
    assert samples.ratio("a", to="b") == Spread(1.75, 2.0, 2.0)


@pytest.mark.parametrize("values", [[3.0], [3.0, 3.0]])
def test_a_spread_of_few_values_is_theirs(values):
    assert Spread.of(values) == Spread(3.0, 3.0, 3.0)
