# SPDX-License-Identifier: MIT
"""Two more requests of the example's: vpc_create writes, and project_delete nearly only guards."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.conftest import Effort
from benchmarks.peers.bare import Bare
from benchmarks.replay import replay
from benchmarks.results import Result, Results
from benchmarks.ways import Workload
from benchmarks.workloads.project_delete import PROJECT_DELETE
from benchmarks.workloads.vpc_create import VPC_CREATE
from examples.datastore.errors import Refused

_FLOWS: dict[str, Workload[Any]] = {flow.name: flow for flow in (VPC_CREATE, PROJECT_DELETE)}


@pytest.fixture(scope="module")
def measured(
    conninfo: str, effort: Effort, results: Results
) -> tuple[dict[str, Result], dict[str, list[str]]]:
    """The result of each, and who has left other rows behind than the others."""
    found: dict[str, Result] = {}
    unlike: dict[str, list[str]] = {}
    for name, flow in _FLOWS.items():
        found[name], unlike[name] = flow.measured(
            conninfo, {}, rounds=effort.rounds, calls=effort.calls
        )
        results.measured.append(found[name])
    return found, unlike


@pytest.mark.parametrize(("flow", "peer"), [(f, p) for f in _FLOWS for p in _FLOWS[f].ways])
def test_flow(
    flow: str,
    peer: str,
    measured: tuple[dict[str, Result], dict[str, list[str]]],
    request: pytest.FixtureRequest,
) -> None:
    found, _ = measured
    replay(request, found[flow], peer)


def test_every_peer_leaves_the_same_rows_behind(
    measured: tuple[dict[str, Result], dict[str, list[str]]],
) -> None:
    _, unlike = measured
    assert unlike == {name: [] for name in _FLOWS}


def test_every_peer_refuses_to_delete_a_project_that_is_in_use(conninfo: str) -> None:
    told: dict[str, str] = {}
    in_use = range(1)
    with PROJECT_DELETE.at_work(conninfo, calls=0) as company:
        before = company.digests()
        for name, side in company.peers.items():
            with pytest.raises(Exception) as raised:  # noqa: PT011  looked at below
                side(in_use)
            told[name] = f"{raised.type.__name__}: {raised.value}"
        assert company.digests() == before
    told.pop(Bare.name)  # it has nothing to say but what the server says
    assert set(told.values()) == {f"{Refused.__name__}: the project contains a vpc: default"}
