# SPDX-License-Identifier: MIT
"""Where a statement's CPU time goes, and what memory it takes."""

from __future__ import annotations

from uuid import uuid4

import pytest

from batchq import Batch
from benchmarks.inserts import rules, rules_insert
from benchmarks.memory import memory
from benchmarks.peers.bare import Bare, values
from benchmarks.peers.batchq import Batchq
from benchmarks.results import Results
from benchmarks.scene import scene
from benchmarks.stages import Times, bare_stages, stages
from examples.datastore.project import project_create

STATEMENTS = 8
INSERTS = 100
SIZES = (100, 1_000, 10_000)


def test_stages_of_project_create(conninfo: str, results: Results) -> None:
    with scene(conninfo, "batchq_bench_stages") as place, Batchq.opened(place) as peer:
        seen = stages(peer.conn, lambda number: project_create(place.project(number)), times=500)
    results.stages["batchq, project_create"] = _by_statement(seen, STATEMENTS)


def test_stages_of_the_bare_pipeline(conninfo: str, results: Results) -> None:
    with scene(conninfo, "batchq_bench_stages") as place, Bare.opened(place) as peer:
        seen = bare_stages(
            peer.pipeline, lambda number: values(place.project(number), uuid4()), times=500
        )
    results.stages[f"{Bare.name}, project_create"] = _by_statement(seen, STATEMENTS)


def test_stages_of_inserts(conninfo: str, results: Results) -> None:
    vpc_id = uuid4()

    def inserts(number: int) -> Batch[list[None]]:
        return rules_insert(rules(vpc_id, range(number * INSERTS, (number + 1) * INSERTS)))

    with scene(conninfo, "batchq_bench_stages") as place, Batchq.opened(place) as peer:
        seen = stages(peer.conn, inserts, times=50)
    results.stages[f"batchq, {INSERTS} inserts"] = _by_statement(seen, INSERTS)


@pytest.mark.parametrize("statements", SIZES)
def test_memory(statements: int, conninfo: str, results: Results) -> None:
    with scene(conninfo, "batchq_bench_memory") as place:
        results.memory.append(memory(place.conninfo, uuid4(), statements))
    results.memory.sort(key=lambda one: one.statements)


def _by_statement(times: Times, statements: int) -> Times:
    return {stage: seconds / statements for stage, seconds in times.items()}
