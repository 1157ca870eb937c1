# SPDX-License-Identifier: MIT
"""The result file: what is written is read back, and tables and charts are made of it."""

from __future__ import annotations

import json

import pytest
from attrs import asdict

pytest.importorskip("asyncpg", reason="the peers come with batchq[bench]")
pytest.importorskip("sqlalchemy", reason="the peers come with batchq[bench]")
pytest.importorskip("matplotlib", reason="the charts come with batchq[bench]")

from rich.console import Console

from benchmarks import charts
from benchmarks.cases import ALL
from benchmarks.interleave import Cost, Samples
from benchmarks.measure import Result
from benchmarks.pytest_adapter import load
from benchmarks.report import tables
from benchmarks.wire import Wire

RESULTS = [
    Result(
        workload,
        settings,
        Samples({peer.name: [Cost(0.25, 0.125), Cost(0.5, None)] for peer in ALL}),
        {peer.name: Wire(1, 32, 40, 1342, 2285) for peer in ALL},
    )
    for workload, settings in [
        ("project_create", {}),
        ("project_create", {"rtt": 0.001}),
        ("inserts", {"statements": 10}),
    ]
]


@pytest.fixture
def results(tmp_path):
    """Return the results as they are read from a file in pytest-benchmark's format."""
    benchmarks = [
        {
            "group": result.title,
            "extra_info": {
                "workload": result.workload,
                "settings": result.settings,
                "peer": peer,
                "costs": [asdict(cost) for cost in costs],
                "wire": asdict(result.wires[peer]),
            },
        }
        for result in RESULTS
        for peer, costs in result.samples.costs.items()
    ]
    path = tmp_path / "results.json"
    found = {"machine_info": {"batchq": {"server": "PostgreSQL"}}, "benchmarks": benchmarks}
    path.write_text(json.dumps(found))
    environment, results = load(path)
    assert environment == {"server": "PostgreSQL"}
    return results


def test_results_are_read_as_they_were_written(results):
    assert results == RESULTS


def test_report_shows_the_ratio_to_the_baseline(results, capsys):
    for table in tables(results):
        Console(width=200).print(table)
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
