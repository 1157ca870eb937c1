# SPDX-License-Identifier: MIT
"""The result file: what is written is read back, and tables and charts are made of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("asyncpg", reason="the peers come with batchq[bench]")
pytest.importorskip("sqlalchemy", reason="the peers come with batchq[bench]")
pytest.importorskip("matplotlib", reason="the charts come with batchq[bench]")

from rich.console import Console

from benchmarks import charts
from benchmarks.cases import ALL
from benchmarks.interleave import Cost, Samples
from benchmarks.report import compared
from benchmarks.results import Result, load
from benchmarks.wire import Wire
from benchmarks.workloads import FORMS

pytest_plugins = ["pytester"]

PEERS = (*FORMS, *(peer.name for peer in ALL))
RESULTS = [
    Result(
        workload,
        settings,
        Samples({peer: [Cost(0.25, 0.125), Cost(0.5, 0.25)] for peer in PEERS}),
        {peer: Wire(1, 32, 40, 1342, 2285) for peer in PEERS},
    )
    for workload, settings in [
        ("project_create", {}),
        ("project_create", {"rtt": 0.001}),
        ("inserts", {"statements": 10}),
    ]
]


REPLAY = """
import pytest
from benchmarks.results import replay
from tests.benchmarks.test_results import PEERS, RESULTS

@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("result", RESULTS)
def test_peer(result, peer, request):
    replay(request, result, peer)
"""
CONFTEST = """
def pytest_benchmark_update_machine_info(machine_info):
    machine_info["batchq"] = {"server": "PostgreSQL"}
"""


@pytest.fixture
def path(pytester, monkeypatch):
    """Return the file that pytest-benchmark writes if all results are replayed."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    # pytest-benchmark measures nothing in a worker of pytest-xdist, which the suite may run in.
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_replay=REPLAY)
    path = pytester.path / "results.json"
    options = ["-p", "no:randomly", "-p", "no:asyncio", "--benchmark-quiet"]
    done = pytester.runpytest_inprocess(*options, "--benchmark-json", str(path))
    done.assert_outcomes(passed=len(RESULTS) * len(PEERS))
    return path


@pytest.fixture
def results(path):
    """Return the results as they are read from that file."""
    environment, results = load(path)
    assert environment == {"server": "PostgreSQL"}
    return results


def test_results_are_read_as_they_were_written(results):
    assert results == RESULTS


def test_statistics_of_the_file_are_those_of_the_samples(path):
    shown = [benchmark["stats"] for benchmark in json.loads(path.read_text())["benchmarks"]]
    assert {(own["rounds"], own["min"], own["max"]) for own in shown} == {(2, 0.25, 0.5)}


@pytest.mark.parametrize("runs", [1, 3])
def test_report_shows_the_ratio_to_the_baseline(runs, results, capsys):
    Console(width=200).print(compared([results[1]] * runs))
    shown = capsys.readouterr().out
    assert "project_create, RTT 1 ms" in shown
    assert "1.00" in shown


def test_charts_are_the_same_for_the_same_figures(results, tmp_path):
    for name in ("one", "other"):
        charts.main(results[:2], tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["distance.png", "distance.svg"]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()
