# SPDX-License-Identifier: MIT
"""Batches a second when many share four connections, and what CPU each batch takes: threads with a
pool, and tasks with a pool in one loop."""

from __future__ import annotations

import pytest

from benchmarks.conftest import Effort
from benchmarks.replay import replay
from benchmarks.results import Result, Results
from benchmarks.ways import Workload
from benchmarks.workloads.serving_tasks import serving_tasks
from benchmarks.workloads.serving_threads import serving_threads
from examples.datastore.models import NewProject

_WORKLOADS: dict[tuple[str, int], Workload[NewProject]] = {
    **{("threads", workers): serving_threads(workers) for workers in (1, 4, 16)},
    **{("tasks", workers): serving_tasks(workers) for workers in (1, 16, 128)},
}
_PEERS = [(*setting, peer) for setting, work in _WORKLOADS.items() for peer in work.ways]

_WARM_UP = 100
"""Calls in front: each of the connections needs some."""


@pytest.fixture(scope="module")
def measured(
    conninfo: str, effort: Effort, results: Results
) -> tuple[dict[tuple[str, int], Result], dict[tuple[str, int], list[str]]]:
    """The result of each setting, and who has left other rows behind than the others."""
    found: dict[tuple[str, int], Result] = {}
    unlike: dict[tuple[str, int], list[str]] = {}
    for (kind, workers), work in _WORKLOADS.items():
        found[kind, workers], unlike[kind, workers] = work.measured(
            conninfo,
            {kind: workers},
            rounds=max(4, effort.rounds // 2),
            calls=max(2 * effort.calls, 2 * workers),
            warm_up=_WARM_UP,
            wires=False,
        )
        results.measured.append(found[kind, workers])
    return found, unlike


@pytest.mark.parametrize(("kind", "workers", "peer"), _PEERS)
def test_throughput(
    kind: str,
    workers: int,
    peer: str,
    measured: tuple[dict[tuple[str, int], Result], dict[tuple[str, int], list[str]]],
    request: pytest.FixtureRequest,
) -> None:
    found, _ = measured
    replay(request, found[kind, workers], peer)


def test_every_peer_leaves_the_same_rows_behind(
    measured: tuple[dict[tuple[str, int], Result], dict[tuple[str, int], list[str]]],
) -> None:
    _, unlike = measured
    assert unlike == {setting: [] for setting in _WORKLOADS}
