# SPDX-License-Identifier: MIT
"""The stages of a batch: each is timed where it is called, by a name that exists."""

from __future__ import annotations

import pytest

pytest.importorskip("asyncpg", reason="the peers come with batchq[bench]")
pytest.importorskip("sqlalchemy", reason="the peers come with batchq[bench]")

from benchmarks.peers.bare import Bare
from benchmarks.peers.batchq import Batchq, forms
from benchmarks.profile import STAGES, calls_and_memory, count_calls, stages
from benchmarks.workloads.projects import PROJECT_CREATE
from benchmarks.workloads.rules import inserts


def test_every_stage_of_a_batch_is_timed(postgres):
    split = stages(postgres.conninfo(), Batchq, PROJECT_CREATE, times=1)
    assert set(split) == set(STAGES)
    assert set(stages(postgres.conninfo(), Bare, PROJECT_CREATE, times=1)) < set(STAGES)


def test_calls_in_python_and_in_c_are_counted_apart():
    counted = count_calls(lambda: len([]))
    assert counted["call"] == 1  # the lambda
    assert counted["c_call"] >= 1


def test_declared_batch_takes_fewer_calls_and_less_memory_than_built(postgres):
    declared, _, built = (calls_and_memory(postgres.conninfo(), peer) for peer in forms(inserts(9)))
    assert all(0 < less < more for less, more in zip(declared, built, strict=True))
