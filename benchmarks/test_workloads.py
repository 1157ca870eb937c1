# SPDX-License-Identifier: MIT
"""Measure each case; report each side to pytest-benchmark, and check that all sides agree."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.cases import CASES, Case, Effort
from benchmarks.measure import Result
from benchmarks.pytest_adapter import replay


@pytest.fixture(scope="session")
def measured(conninfo: str, effort: Effort) -> Callable[[Case], Result]:
    """Return a function that measures a case when it is first asked for."""
    results: dict[str, Result] = {}

    def find(case: Case) -> Result:
        if case.title not in results:
            results.update((found.title, found) for found in case.measure(conninfo, effort))
        return results[case.title]

    return find


@pytest.mark.parametrize(
    ("case", "side"),
    [pytest.param(case, side, id=f"{case.title}: {side}") for case in CASES for side in case.sides],
)
def test_side(
    case: Case,
    side: str,
    measured: Callable[[Case], Result],
    request: pytest.FixtureRequest,
) -> None:
    result = measured(case)
    replay(request, result, side)
    assert side not in result.different
