# SPDX-License-Identifier: MIT
"""A batch that fails: its first, a middle or its last statement. Beside it the same one that does
not, because failing should cost no more."""

from __future__ import annotations

from typing import get_args

import pytest
from attrs import frozen

from benchmarks.company import company
from benchmarks.conftest import Effort
from benchmarks.measure import Samples, Side, interleave
from benchmarks.peers import TOLD, FailsToCreate, fails_to_create
from benchmarks.peers.all import PEERS
from benchmarks.replay import replay
from benchmarks.results import Result, Results
from benchmarks.scene import At

NOWHERE = "nowhere"
PLACES: tuple[At, ...] = get_args(At)


@frozen
class Measured:
    """What was seen."""

    by_place: dict[str, Result]
    told: dict[tuple[str, At], set[str]]
    """What each peer had to say of its failures."""
    left: list[str]
    """Peers whose failures have left something behind."""


@pytest.fixture(scope="module")
def measured(conninfo: str, effort: Effort, results: Results) -> Measured:
    """All peers, failing in three places and in none, in turns."""
    with company(conninfo, fails_to_create) as all_of_them:
        peers = all_of_them.peers
        sides: dict[str, Side] = {}
        told: dict[tuple[str, At], set[str]] = {}
        before = all_of_them.digests()
        for name, peer in peers.items():
            for at in PLACES:
                peer.told.clear()
                peer.fail(range(1), at)
                told[name, at] = set(peer.told)
                sides[f"{name} {at}"] = _failing(peer, at)
            sides[f"{name} {NOWHERE}"] = peer.project_create
        after = all_of_them.digests()
        samples = interleave(sides, rounds=effort.rounds, calls=max(1, effort.calls // 4))
    by_place = {at: _result(samples, list(peers), at) for at in (*PLACES, NOWHERE)}
    results.measured += by_place.values()
    return Measured(by_place, told, [name for name in peers if before[name] != after[name]])


def _failing(peer: FailsToCreate, at: At) -> Side:
    return lambda numbers: peer.fail(numbers, at)


def _result(samples: Samples, peers: list[str], at: str) -> Result:
    return Result("failing", {"at": at}, samples.of({name: f"{name} {at}" for name in peers}))


@pytest.mark.parametrize("at", PLACES)
@pytest.mark.parametrize("peer", PEERS)
def test_failing(peer: str, at: At, measured: Measured, request: pytest.FixtureRequest) -> None:
    result = measured.by_place[at]
    if peer not in result.samples.costs:
        pytest.skip(f"{peer} cannot go on after an error")
    replay(request, result, peer)


def test_every_peer_says_the_same_of_a_failure(measured: Measured) -> None:
    assert {(name, at): {TOLD[at]} for name, at in measured.told} == measured.told


def test_no_failure_leaves_anything_behind(measured: Measured) -> None:
    assert measured.left == []
