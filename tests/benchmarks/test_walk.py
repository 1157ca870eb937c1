# SPDX-License-Identifier: MIT
"""Figures of a walk through the code."""

from __future__ import annotations

from batchq import Batch, insert
from benchmarks.sandbox import sandbox
from benchmarks.walk import Walk, insert_walks, traced


def test_series_of_calls_in_one_file_is_one_stay():
    walk = Walk(("a", "a", "b", "a", "c", "c"))
    assert walk.stays == [("a", 2), ("b", 1), ("a", 1), ("c", 2)]
    assert str(walk).split() == ["6", "4", "3", "1"]  # calls, stays, files, returns


def test_run_seldom_returns_to_a_file_that_was_left(postgres):
    with sandbox(postgres.conninfo()) as place, place.connect() as conn:
        walks = insert_walks(conn)
    assert walks["run, warm"].returns <= 15
    assert walks["run, an unmapped failure"].returns <= 20


def test_only_functions_of_the_package_are_traced():
    made = []
    walk = traced(lambda: made.append(insert("project", {"id": 1})))
    assert isinstance(made[0], Batch)
    assert walk.files
    assert all((file.endswith(".py")) for file in walk.files)
