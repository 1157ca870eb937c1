# SPDX-License-Identifier: MIT
"""Measure each case; report each peer to pytest-benchmark, and check that all peers agree."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from benchmarks.cases import CASES
from benchmarks.measure import Case
from benchmarks.results import Result, replay


@pytest.fixture(scope="session")
def measured(conninfo: str, pytestconfig: pytest.Config) -> Callable[[Case], Result]:
    """Return a function that measures a case when it is first asked for."""
    times = pytestconfig.getoption("--times")
    return cache(lambda case: case.measure(conninfo, times=times))


@pytest.mark.timeout(1800)  # the first test of a case measures for all of them
@pytest.mark.parametrize(
    ("case", "peer"),
    [
        pytest.param(case, peer.name, id=f"{case.title}: {peer.name}")
        for case in CASES
        for peer in case.peers
    ],
)
def test_peer(
    case: Case, peer: str, measured: Callable[[Case], Result], request: pytest.FixtureRequest
) -> None:
    result = measured(case)
    replay(request, result, peer)
    assert peer not in result.different
