# SPDX-License-Identifier: MIT
"""Five selects in one batch, whose rows become models."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest
from attrs import astuple

from batchq.testing import proxy
from benchmarks.conftest import Effort
from benchmarks.measure import WARM_UP, Side, interleave
from benchmarks.replay import replay
from benchmarks.results import Result, Results
from benchmarks.scene import Scene, scene
from benchmarks.ways import collector_frozen
from benchmarks.wire import count
from benchmarks.workloads.reads import PAGES, READING, READS, Asked, Page, pages


@pytest.fixture(scope="module")
def measured(
    conninfo: str, effort: Effort, results: Results
) -> tuple[Result, dict[str, list[object]]]:
    """The result, and what each way has read."""
    with scene(conninfo, "batchq_bench_reads") as place:
        there = pages(place)
        # One call after the other, round and round: a list of as many places is not long.
        given = there * -(-(WARM_UP + effort.rounds * effort.calls) // PAGES)
        with ExitStack() as stack:
            sides = _opened(stack, place, given)
            with collector_frozen():
                samples = interleave(sides, rounds=effort.rounds, calls=effort.calls)
            read = {name: _read(side, there) for name, side in sides.items()}
        with proxy(conninfo) as link, ExitStack() as stack:
            far = place.through(link.conninfo())
            sides = _opened(stack, far, there * WARM_UP)
            wires = {name: count(link, side) for name, side in sides.items()}
    result = Result(READS, {}, samples, wires)
    results.measured.append(result)
    return result, read


def _opened(stack: ExitStack, place: Scene, given: list[Asked]) -> dict[str, Side]:
    return {name: stack.enter_context(way(place, given)) for name, way in READING.items()}


def _read(side: Side, there: list[Asked]) -> list[object]:
    """What a way reads, as plain rows: whether they are models is the way's affair."""
    for asked in there:
        asked.page = None
    side(range(PAGES))
    return [_rows(asked.page) for asked in there]


def _rows(page: Page | list[list[tuple[Any, ...]]] | None) -> list[list[tuple[Any, ...]]] | None:
    if not isinstance(page, Page):
        return page
    found: list[list[Any]] = [[page.project], [page.vpc], page.routers, page.subnets, page.rules]
    return [[astuple(row, recurse=False) for row in rows] for rows in found]


@pytest.mark.parametrize("peer", READING)
def test_reads(
    peer: str,
    measured: tuple[Result, dict[str, list[object]]],
    request: pytest.FixtureRequest,
) -> None:
    result, _ = measured
    replay(request, result, peer)


def test_every_peer_reads_the_same_rows(
    measured: tuple[Result, dict[str, list[object]]],
) -> None:
    _, read = measured
    first = next(iter(read.values()))
    assert None not in first
    assert [name for name, rows in read.items() if rows != first] == []
