# SPDX-License-Identifier: MIT
"""The result file: what is written is read back, and tables and charts are made of it."""

from __future__ import annotations

import pytest

pytest.importorskip("asyncpg", reason="the peers come with batchq[bench]")
pytest.importorskip("sqlalchemy", reason="the peers come with batchq[bench]")
pytest.importorskip("matplotlib", reason="the charts come with batchq[bench]")

from rich.console import Console

from benchmarks import charts
from benchmarks.cases import ALL
from benchmarks.interleave import Cost, Samples
from benchmarks.report import compared
from benchmarks.results import Result, load, save
from benchmarks.wire import Wire
from benchmarks.workloads import FORMS

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


@pytest.fixture(name="results")
def results_fixture(tmp_path):
    """Return the results as they are read from the file of a run."""
    save(tmp_path / "results.json", {"server": "PostgreSQL"}, RESULTS)
    environment, results = load(tmp_path / "results.json")
    assert environment == {"server": "PostgreSQL"}
    return results


def test_results_are_read_as_they_were_written(results):
    assert results == RESULTS


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
