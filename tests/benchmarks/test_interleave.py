# SPDX-License-Identifier: MIT
"""Turns, samples and the figures that are made of them."""

from __future__ import annotations

import gc

import pytest

from benchmarks.interleave import Cost, Samples, Spread, interleave


def test_sides_take_turns_and_each_round_begins_with_another():
    turns = []
    sides = {name: lambda numbers, name=name: turns.append((name, numbers)) for name in "ab"}
    interleave(sides, rounds=2, calls=3, warm_up=1, first=10)
    assert turns == [
        ("a", range(10, 11)),
        ("b", range(10, 11)),
        ("a", range(11, 14)),
        ("b", range(11, 14)),
        ("b", range(14, 17)),
        ("a", range(14, 17)),
    ]


def test_garbage_collector_is_off_during_a_turn():
    enabled = []
    interleave({"a": lambda _: enabled.append(gc.isenabled())}, rounds=1, calls=1, warm_up=0)
    assert (enabled, gc.isenabled()) == ([False], True)


def test_ratio_is_the_median_of_the_ratios_of_the_rounds():
    samples = Samples(
        {
            "a": [Cost(wall, wall) for wall in (2.0, 40.0, 3.0)],  # the machine was busy
            "b": [Cost(wall, wall) for wall in (1.0, 20.0, 2.0)],
        }
    )
    assert samples.ratio("a", to="b") == Spread(1.75, 2.0, 2.0)


def test_cpu_is_none_if_a_side_runs_in_another_process():
    assert Samples({"a": [Cost(42.0, None)]}).cpu("a") is None


@pytest.mark.parametrize("values", [[3.0], [3.0, 3.0]])
def test_spread_of_equal_values_is_that_value(values):
    assert Spread.of(values) == Spread(3.0, 3.0, 3.0)
