# SPDX-License-Identifier: MIT
"""Turns, samples and the figures that are made of them."""

from __future__ import annotations

import gc

import pytest

from benchmarks.interleave import Cost, Samples, Spread, interleave, timed


def test_sides_take_turns_and_each_round_begins_with_another():
    taken = []

    def turn_of(name):
        return lambda numbers: taken.append((name, numbers))

    interleave({name: turn_of(name) for name in "ab"}, rounds=2, calls=3, first=11)
    assert taken == [
        ("a", range(11, 14)),
        ("b", range(11, 14)),
        ("b", range(14, 17)),
        ("a", range(14, 17)),
    ]


def test_garbage_collector_is_off_during_a_turn():
    enabled = []
    timed(lambda _: enabled.append(gc.isenabled()), range(1))
    assert (enabled, gc.isenabled()) == ([False], True)


@pytest.mark.parametrize("clock", ["wall", "cpu"])
def test_ratio_is_the_median_of_the_ratios_of_the_rounds(clock):
    def costs(*seconds):
        other = {"wall": "cpu", "cpu": "wall"}[clock]
        return [Cost(**{clock: own, other: 1.0}) for own in seconds]

    # The machine was busy in the second round.
    samples = Samples({"a": costs(2.0, 40.0, 3.0), "b": costs(1.0, 20.0, 2.0)})
    assert samples.ratio("a", to="b", clock=clock) == Spread(1.6, 2.0, 2.0)


@pytest.mark.parametrize("values", [[3.0], [3.0, 3.0]])
def test_spread_of_equal_values_is_that_value(values):
    assert Spread.of(values) == Spread(3.0, 3.0, 3.0)
