# SPDX-License-Identifier: MIT
"""project_create from further and further away, where it is round trips that count.

On the server's own socket, without anybody in between, it is test_project_create's.
"""

from __future__ import annotations

import pytest

from benchmarks.company import company
from benchmarks.conftest import Effort
from benchmarks.distance import distance, round_trip
from benchmarks.measure import WARM_UP, Samples, Side, interleave
from benchmarks.peers import creates_projects, fails_to_create
from benchmarks.peers.all import PEERS
from benchmarks.peers.batchq import Batchq
from benchmarks.replay import replay
from benchmarks.results import Result, Results

RTTS = (0.0005, 0.001, 0.005, 0.02, 0.08)
"""Seconds."""

FAILING = f"{Batchq.name}, failing in the middle"

_PATIENCE = 0.02
"""Seconds of distance that a turn of calls, and as many rounds, may add up to: from further away
fewer are needed, because what is measured is then nearly all distance."""


@pytest.fixture(scope="module")
def measured(
    conninfo: str, effort: Effort, results: Results
) -> tuple[dict[float, Result], list[str]]:
    """The result at each distance, and who has left other rows behind than the others."""
    by_rtt: dict[float, Result] = {}
    with (
        distance(conninfo) as link,
        company(conninfo, creates_projects, through=link.conninfo) as all_of_them,
    ):
        results.environment["in between"] = (
            f"{round_trip(link.conninfo) * 1e6:.0f} us a round trip by itself, "
            f"beside {round_trip(conninfo) * 1e6:.0f} us directly"
        )
        peers = all_of_them.peers
        sides: dict[str, Side] = {name: peer.project_create for name, peer in peers.items()}
        sides[FAILING] = _failing(peers[Batchq.name])
        interleave(sides, rounds=0, calls=0)  # warm, while it is near
        first = WARM_UP
        for rtt in RTTS:
            calls = max(2, min(effort.calls // 4, int(_PATIENCE / rtt)))
            rounds = max(4, min(effort.rounds, int(_PATIENCE / rtt)))
            link.set(rtt)
            samples = interleave(sides, rounds=rounds, calls=calls, warm_up=1, first=first)
            first += 1 + rounds * calls
            by_rtt[rtt] = Result("project_create", {"rtt": rtt}, _only(samples, list(peers)))
            failing = samples.of({Batchq.name: FAILING})
            results.measured += [
                by_rtt[rtt],
                Result("failing", {"at": "middle", "rtt": rtt}, failing),
            ]
        return by_rtt, all_of_them.unlike()


def _failing(peer: object) -> Side:
    failing = fails_to_create(peer)
    if failing is None:
        raise TypeError("it cannot fail")
    return lambda numbers: failing.fail(numbers, "middle")


def _only(samples: Samples, names: list[str]) -> Samples:
    return samples.of({name: name for name in names})


@pytest.mark.parametrize("rtt", RTTS, ids=lambda rtt: f"{rtt * 1000:g}ms")
@pytest.mark.parametrize("peer", PEERS)
def test_distance(
    peer: str,
    rtt: float,
    measured: tuple[dict[float, Result], list[str]],
    request: pytest.FixtureRequest,
) -> None:
    by_rtt, _ = measured
    if peer not in by_rtt[rtt].samples.costs:
        pytest.skip(f"{peer} is not there")
    replay(request, by_rtt[rtt], peer)


def test_every_peer_leaves_the_same_rows_behind(
    measured: tuple[dict[float, Result], list[str]],
) -> None:
    _, unlike = measured
    assert unlike == []
