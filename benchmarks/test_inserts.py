# SPDX-License-Identifier: MIT
"""Batches of 1 to 10,000 inserts: what a statement costs when there are few of them, and many.

Their memory is test_stages'.
"""

from __future__ import annotations

import pytest

from benchmarks.conftest import Effort
from benchmarks.measure import WARM_UP
from benchmarks.replay import replay
from benchmarks.results import Result, Results
from benchmarks.workloads.inserts import WAYS, inserts

SIZES = (1, 2, 5, 10, 50, 100, 1_000, 10_000)

_TURN = 200
"""Statements that a turn has at least, so that small batches are seen above the noise."""
_ROUND = 400
"""Statements of a batch from which on there are fewer rounds, but never fewer than _LEAST."""
_LEAST = 4
_COUNTED = 10
"""The largest batch whose messages are counted: those of larger ones are no news."""


@pytest.fixture(scope="module")
def measured(
    conninfo: str, effort: Effort, results: Results
) -> tuple[dict[int, Result], dict[int, list[str]]]:
    """The result of each size, and who has left other rows behind than the others."""
    by_size: dict[int, Result] = {}
    unlike: dict[int, list[str]] = {}
    for size in SIZES:
        by_size[size], unlike[size] = inserts(size).measured(
            conninfo,
            {"statements": size},
            rounds=min(effort.rounds, max(_LEAST, effort.rounds * _ROUND // size)),
            calls=max(1, min(effort.calls, _TURN // size)),
            warm_up=max(1, min(WARM_UP, _TURN // size)),
            wires=size <= _COUNTED,
        )
        results.measured.append(by_size[size])
    return by_size, unlike


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("peer", WAYS)
def test_inserts(
    peer: str,
    size: int,
    measured: tuple[dict[int, Result], dict[int, list[str]]],
    request: pytest.FixtureRequest,
) -> None:
    by_size, _ = measured
    replay(request, by_size[size], peer)


def test_every_peer_leaves_the_same_rows_behind(
    measured: tuple[dict[int, Result], dict[int, list[str]]],
) -> None:
    _, unlike = measured
    assert unlike == {size: [] for size in SIZES}
