# SPDX-License-Identifier: MIT
"""The main workload: the example's eight statements, by every peer, on the server's own socket."""

from __future__ import annotations

import pytest

from benchmarks.company import company, wires
from benchmarks.conftest import Effort
from benchmarks.measure import interleave
from benchmarks.peers import creates_projects
from benchmarks.peers.all import PEERS
from benchmarks.replay import replay
from benchmarks.results import Result, Results


@pytest.fixture(scope="module")
def measured(conninfo: str, effort: Effort, results: Results) -> tuple[Result, list[str]]:
    """The result, and who has left other rows behind than the others."""
    with company(conninfo, creates_projects) as all_of_them:
        sides = {name: peer.project_create for name, peer in all_of_them.peers.items()}
        samples = interleave(sides, rounds=effort.rounds, calls=effort.calls)
        unlike = all_of_them.unlike()
    counted = wires(conninfo, creates_projects, lambda peer: peer.project_create)
    result = Result("project_create", {}, samples, counted)
    results.measured.append(result)
    return result, unlike


@pytest.mark.parametrize("peer", PEERS)
def test_project_create(
    peer: str, measured: tuple[Result, list[str]], request: pytest.FixtureRequest
) -> None:
    result, _ = measured
    if peer not in result.samples.costs:
        pytest.skip(f"{peer} is not there")
    replay(request, result, peer)


def test_every_peer_leaves_the_same_rows_behind(measured: tuple[Result, list[str]]) -> None:
    _, unlike = measured
    assert unlike == []
