# SPDX-License-Identifier: MIT
"""The stages of a batch: each is timed where it is called, by a name that exists."""

from __future__ import annotations

import pytest

pytest.importorskip("asyncpg", reason="the peers come with batchq[bench]")
pytest.importorskip("sqlalchemy", reason="the peers come with batchq[bench]")

from benchmarks.peers.bare import Bare
from benchmarks.peers.batchq import Batchq
from benchmarks.profile import STAGES, count_calls, stages
from benchmarks.workloads.projects import PROJECT_CREATE


def test_every_stage_of_a_batch_is_timed(postgres):
    split = stages(postgres.conninfo(), Batchq, PROJECT_CREATE, times=1)
    assert set(split) == set(STAGES)
    assert set(stages(postgres.conninfo(), Bare, PROJECT_CREATE, times=1)) < set(STAGES)


def test_calls_in_python_and_in_c_are_counted_apart():
    counted = count_calls(lambda: len([]))
    assert counted["Python"] == 1  # the lambda
    assert counted["C"] >= 1
